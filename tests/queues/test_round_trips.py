"""How many round trips a message costs, counted at the socket: alone, and under load."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, Session
from shared.concurrency.queues.takes.lane import TakeLane
from tests.instruments import inside
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

# The proxy shares its loop with what is measured: a busy machine may keep renewals waiting for long.
pytestmark = pytest.mark.session_ttl(60)


@pytest.fixture
async def queue(through_proxy: Session, name: str, proxy: Proxy) -> Queue[int]:
    """A queue that has been used: registered, and its scripts known to the server."""
    queue = Queue(through_proxy, name, int)
    await queue.put(0)
    async with await queue.get():
        pass
    proxy.commands.clear()
    return queue


def sent(proxy: Proxy) -> list[str]:
    return [command.name for command in proxy.of_session()]


async def test_a_put_alone_is_one_round_trip(proxy: Proxy, queue: Queue[int]) -> None:
    await queue.put(1)
    assert sent(proxy) == ["put"]
    await queue.put(2, id="two")
    await queue.put_nowait(3)
    assert sent(proxy) == ["put"] * 3


async def test_a_get_and_its_ack_are_two_round_trips(proxy: Proxy, queue: Queue[int]) -> None:
    await queue.put_many(range(10))
    proxy.commands.clear()
    for _ in range(10):
        async with await queue.get():
            pass
    assert sent(proxy) == ["settle_and_take"] * 20


async def test_an_ack_and_the_get_beside_it_share_a_round_trip(proxy: Proxy, queue: Queue[int]) -> None:
    await queue.put_many(range(10))
    delivery = await queue.get()
    proxy.commands.clear()
    for _ in range(9):
        taken = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        await delivery.ack()
        delivery = await taken
    assert len(sent(proxy)) <= 10
    await delivery.ack()


async def test_every_other_call_is_one_round_trip(proxy: Proxy, queue: Queue[int]) -> None:
    async def resize() -> None:
        await queue.resize(5)

    for call in (queue.statistics, queue.qsize, queue.join, queue.dead_letters, resize, queue.shutdown, queue.reopen):
        await call()  # a script that the server does not know yet costs one more
        proxy.commands.clear()
        await call()
        assert len(sent(proxy)) == 1


async def test_putting_many_is_a_round_trip_for_a_few_hundred(proxy: Proxy, queue: Queue[int]) -> None:
    await queue.put_many(range(5000))
    assert set(sent(proxy)) == {"put"}
    assert len(sent(proxy)) <= 5000 / 200


async def test_concurrent_puts_share_round_trips_and_the_first_waits_for_no_company(
    proxy: Proxy, queue: Queue[int]
) -> None:
    await asyncio.gather(*(queue.put(number) for number in range(1000)))
    assert len(sent(proxy)) <= 6
    assert await queue.qsize() == 1000


@pytest.mark.usefixtures("only_notified")
async def test_a_waiting_put_and_a_waiting_get_are_silent(
    proxy: Proxy, through_proxy: Session, queue: Queue[int]
) -> None:
    await queue.resize(1)
    await queue.put(1)
    put = asyncio.create_task(queue.put(2))
    await until(queue.statistics, lambda statistics: statistics.puts_waiting == 1)
    other = Queue(through_proxy, f"{queue.name}-other", int)
    get = asyncio.create_task(other.get())
    await until(proxied(proxy, "settle_and_take"), lambda count: count >= 1)
    proxy.commands.clear()
    await asyncio.wait({put, get}, timeout=0.5)
    assert sent(proxy) == []
    get.cancel()
    put.cancel()
    await asyncio.wait({put, get})


def proxied(proxy: Proxy, *steps: str) -> Callable[[], Awaitable[int]]:
    async def count() -> int:
        return proxy.count(*steps)

    return count


async def drained(queue: Queue[int], count: int, concurrency: int) -> None:
    """Have a worker drain so many messages with a handler that does nothing."""
    left = count

    async def handle(_: Delivery[int]) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            worker.drain()

    worker = Worker(queue, handle, concurrency=concurrency)
    async with asyncio.timeout(100):
        await worker.run()


async def test_a_worker_settles_and_takes_in_one_round_trip_for_many(proxy: Proxy, queue: Queue[int]) -> None:
    await queue.put_many(range(10_000))
    proxy.commands.clear()
    await drained(queue, 10_000, concurrency=10)
    assert set(sent(proxy)) == {"settle_and_take"}
    # It starts with as many as it has workers, and takes more as it sees how fast they are; a slow machine takes few.
    assert len(sent(proxy)) <= 10_000 / 4
    assert (await queue.statistics()).acked_total == 10_001


async def test_the_server_fetches_the_next_messages_while_these_are_handled(
    monkeypatch: pytest.MonkeyPatch, queue: Queue[int]
) -> None:
    # A worker that never waits once worked off all it had before the lane had a turn to send.
    await queue.put_many(range(20_000))
    in_hand: list[int] = []
    send = TakeLane._exchange

    async def seen(lane: TakeLane, *arguments: Any, **more: Any) -> None:
        in_hand.append(inside.in_hand(lane))
        await send(lane, *arguments, **more)

    monkeypatch.setattr(TakeLane, "_exchange", seen)
    await drained(queue, 20_000, concurrency=100)
    idle = sum(not left for left in in_hand)
    # The first calls come before the rate is known, the last when there is nothing more.
    assert len(in_hand) > 40
    assert idle < len(in_hand) / 2


async def test_a_worker_alone_pays_one_round_trip_a_message(proxy: Proxy, queue: Queue[int]) -> None:
    # Each is put when the one before is done with: a message alone waits for no company.
    handled = asyncio.Queue[int]()

    async def handle(delivery: Delivery[int]) -> None:
        handled.put_nowait(delivery.item)

    worker = Worker(queue, handle, concurrency=1)
    running = asyncio.create_task(worker.run())
    await until(proxied(proxy, "settle_and_take"), lambda count: count >= 1)
    proxy.commands.clear()
    for number in range(20):
        await queue.put(number)
        assert await handled.get() == number
    await queue.join()
    takes = proxy.count("settle_and_take")
    worker.drain()
    await running
    # The take that the wake-up asks for, and the one that settles and finds nothing more.
    assert takes <= 2 * 20
    assert proxy.count("put") == 20


async def test_small_bound_does_not_cost_a_round_trip_for_each_message(proxy: Proxy, queue: Queue[int]) -> None:
    await queue.resize(2)
    put = asyncio.create_task(queue.put_many(range(2000)))
    await until(queue.statistics, lambda statistics: statistics.puts_waiting >= 248)
    proxy.commands.clear()
    await drained(queue, 2000, concurrency=50)
    await put
    assert len(sent(proxy)) <= 2000 / 4


async def test_a_message_that_is_submitted_costs_one_call_more_at_most_and_the_consumer_none(
    proxy: Proxy, queue: Queue[int], url: str
) -> None:
    async with Session.open(url) as session:
        there = Queue(session, queue.name, int)

        async def handle(delivery: Delivery[int]) -> int:
            return -delivery.item

        worker = Worker(there, handle, concurrency=1)
        running = asyncio.create_task(worker.run())
        proxy.commands.clear()
        # Alone, one after the other: the put, and now and then a call that forgets what has been heard.
        for number in range(50):
            assert await (await queue.submit(number)) == -number
        await inside.results_flushed(queue)
        assert proxy.count("put") == 50
        assert set(sent(proxy)) <= {"put", "results"}
        assert proxy.count("results") <= 50
        # One under an id is told with the put that it is the first; else it asks for which.
        proxy.commands.clear()
        assert await (await queue.submit(1, id="one")) == -1
        assert sent(proxy).count("put") == 1
        assert proxy.count("results") == 0
        assert await (await queue.submit(1, id="one")) == -1
        assert proxy.count("put") == 2
        assert proxy.count("results") == 2
        # Under load both share calls.
        proxy.commands.clear()
        futures = await asyncio.gather(*(queue.submit(number) for number in range(1000)))
        assert await asyncio.gather(*futures) == [-number for number in range(1000)]
        assert proxy.count("put") <= 20
        assert proxy.count("results") <= 1000 / 10
        worker.drain()
        await running


async def test_a_consumer_answers_with_the_call_that_settles_and_takes(
    proxy: Proxy, queue: Queue[int], url: str
) -> None:
    async with Session.open(url) as session:
        futures = await asyncio.gather(*(Queue(session, queue.name, int).submit(number) for number in range(2000)))
        proxy.commands.clear()
        left = 2000

        async def handle(delivery: Delivery[int]) -> int:
            nonlocal left
            left -= 1
            if left == 0:
                worker.drain()
            return delivery.item

        worker = Worker(queue, handle, concurrency=10)
        await worker.run()
        assert await asyncio.gather(*futures) == list(range(2000))
    assert set(sent(proxy)) == {"settle_and_take"}
    assert len(sent(proxy)) <= 2000 / 3


@pytest.mark.usefixtures("only_notified")
async def test_who_waits_for_a_result_is_silent_but_for_a_look_once_a_second(proxy: Proxy, queue: Queue[int]) -> None:
    future = await queue.submit(1)
    proxy.commands.clear()
    await asyncio.wait({future}, timeout=0.5)
    assert sent(proxy) == []
    future.cancel()
