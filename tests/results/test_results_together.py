"""Results that are settled by one call: written together, and sent to each submitter in few notifications."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from shared.concurrency import Delivery, Queue, Session, StaleDelivery
from tests.instruments import inside
from tests.instruments.waiting import until

MANY = 120


@asynccontextmanager
async def notified(client: Redis, queue: Queue[int]) -> AsyncIterator[list[bytes]]:
    """The notifications of results for the process of a queue, as they come."""
    heard: list[bytes] = []
    async with client.pubsub() as channel:
        await channel.subscribe(f"weir:{inside.owner_at(queue)}")

        async def listen() -> None:
            while True:
                message = await channel.get_message(timeout=None)
                if message and message["type"] == "message" and message["data"].startswith(b"results "):
                    heard.append(message["data"])

        listening = asyncio.create_task(listen())
        try:
            yield heard
        finally:
            listening.cancel()
            await asyncio.wait({listening})


async def settle(deliveries: list[Delivery[int]], results: list[object]) -> None:
    """Acknowledge all together: the call is composed when the loop turns."""
    await asyncio.gather(*(one.ack(result=result) for one, result in zip(deliveries, results, strict=True)))


@pytest.mark.usefixtures("only_notified")
async def test_results_of_one_call_reach_each_submitter_together(
    queue: Queue[int], there: Queue[int], other: Session, client: Redis
) -> None:
    second = Queue(other, queue.name, int)
    async with asyncio.timeout(100), notified(client, queue) as heard:
        futures = [await each.submit(number) for number in range(MANY) for each in (queue, second)]
        deliveries = [await there.get() for _ in futures]
        await settle(deliveries, [2 * one.item for one in deliveries])
        assert await asyncio.gather(*futures) == [2 * number for number in range(MANY) for _ in range(2)]
        await until(lambda: asyncio.sleep(0, sum(map(len, heard))), lambda size: size > MANY * 27)
        assert len(heard) <= 2  # of two calls, where one was on its way
        assert all(inside.owner_at(second).encode() not in each for each in heard)


@pytest.mark.usefixtures("only_notified")
async def test_large_results_travel_in_notifications_of_their_own_and_the_largest_is_asked_for(
    session: Session, far: Session, name: str, client: Redis
) -> None:
    queue: Queue[int] = Queue(session, name, int)
    there: Queue[int] = Queue(far, name, int)
    results = ["x", "a" * 40_000, "b" * 40_000, "c" * 65_000, "d" * 70_000, "e" * 40_000, "f"]
    async with asyncio.timeout(100), notified(client, queue) as heard:
        futures = [await queue.submit(number) for number in range(len(results))]
        deliveries = [await there.get() for _ in futures]
        await settle(deliveries, list(results))
        assert await asyncio.gather(*futures) == results
        await until(lambda: asyncio.sleep(0, sum(map(len, heard))), lambda size: size > 185_000)
        assert all(len(each) < 2 * 65_536 + 1000 for each in heard)


async def test_one_that_is_not_held_any_more_is_stale_beside_others(queue: Queue[int], there: Queue[int]) -> None:
    futures = [await queue.submit(number) for number in range(5)]
    deliveries = [await there.get() for _ in futures]
    leased = inside.member_at(there).life.keys["leased"]
    await inside.command_at(queue, "HDEL", leased.decode(), inside.receipt_of(deliveries[2]).decode())
    settled = await asyncio.gather(*(one.ack(result=one.item) for one in deliveries), return_exceptions=True)
    assert [type(each) for each in settled] == [type(None)] * 2 + [StaleDelivery] + [type(None)] * 2
    async with asyncio.timeout(10):
        assert await asyncio.gather(*futures[:2], *futures[3:]) == [0, 1, 3, 4]
    assert not futures[2].done()


async def test_one_that_is_named_twice_is_settled_once(queue: Queue[int], there: Queue[int]) -> None:
    future = await queue.submit(1)
    delivery = await there.get()
    receipt, words = inside.receipt_of(delivery), ("result", b"=7")
    answer = await inside.ask_at(
        there, "settle_and_take", inside.session_id_at(there), 100, 100, 2, b"", b"", 0, b"", b"", 0, 0, 0,
        receipt, *words, receipt, *words,
    )  # fmt: skip
    assert answer[2] == receipt
    inside.forget(there, delivery)
    async with asyncio.timeout(10):
        assert await future == 7
    assert (await queue.statistics()).acked_total == 1


async def test_results_of_one_call_let_the_next_of_their_keys_go(queue: Queue[int], there: Queue[int]) -> None:
    futures = [await queue.submit(number, key=f"key {number % 3}") for number in range(6)]
    async with asyncio.timeout(30):
        for numbers in ([0, 1, 2], [3, 4, 5]):
            deliveries = [await there.get() for _ in numbers]
            assert [one.item for one in deliveries] == numbers
            await settle(deliveries, [one.item for one in deliveries])
        assert await asyncio.gather(*futures) == list(range(6))
