"""Rule 31: a message in somebody's hands is cancelled."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Cancellation,
    MessageCancelled,
    Queue,
    QueueEmpty,
    Session,
    StaleDelivery,
)
from tests.instruments import inside
from tests.instruments.cancelling import at_rest, cancelling
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


async def test_in_hands_its_body_is_cancelled_and_says_so(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    await queue.put(1, id="one")
    seen: list[object] = []

    async def body() -> None:
        async with await there.get() as item:
            seen.append(item)
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await until(queue.statistics, lambda seen: seen.leased == 1)
    assert await queue.cancel("one") is Cancellation.STOPPED
    with pytest.raises(MessageCancelled, match="one was cancelled"):
        await task
    assert seen == [1]
    assert await queue.cancel("one") is Cancellation.FINISHED
    await at_rest(client, queue.name)


async def test_in_hands_without_a_body_nothing_that_is_done_counts(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    await queue.put(1, id="one")
    delivery = await there.get()
    delivery.effects.incrby(f"{queue.name}-effect", 1)
    before = delivery.cancelled
    assert await queue.cancel("one") is Cancellation.STOPPED
    assert (before, delivery.cancelled) == (False, True)
    for settling in (delivery.ack(), delivery.nack(), delivery.dead_letter("no")):
        with pytest.raises(StaleDelivery, match="was cancelled"):
            await settling
    with pytest.raises(StaleDelivery, match="was cancelled"):
        async with delivery:
            pass
    assert await client.get(f"{queue.name}-effect") is None
    await at_rest(client, queue.name)


async def test_a_body_that_swallows_it_changes_nothing(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    future = await queue.submit(1, id="one")
    begun = asyncio.Event()

    async def body() -> None:
        async with await there.get():
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return

    task = asyncio.create_task(body())
    await begun.wait()
    assert await queue.cancel("one") is Cancellation.STOPPED
    with pytest.raises(MessageCancelled):
        await task
    assert str((await asyncio.gather(future, return_exceptions=True))[0]) == "cancelled: somebody cancelled it"
    await at_rest(client, queue.name)


async def test_a_cancellation_from_outside_wins(queue: Queue[int], there: Queue[int]) -> None:
    await queue.put(1, id="one")
    delivery = await there.get()
    begun, cleaning = asyncio.Event(), asyncio.Event()

    async def body() -> None:
        async with delivery:
            try:
                begun.set()
                await asyncio.Event().wait()
            finally:
                cleaning.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await begun.wait()
    asked = asyncio.create_task(queue.cancel("one"))
    await cleaning.wait()
    assert not asked.done(), "it is stopped when its body has ended"
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert await asked is Cancellation.STOPPED


async def test_an_acknowledgement_on_its_way_wins(proxy: Proxy, queue: Queue[int], client: Redis) -> None:
    async with Session.open(proxy.url) as far:
        there = Queue(far, queue.name, int)
        await queue.put(1, id="one")
        delivery = await there.get()
        with proxy.frozen():
            acking = asyncio.create_task(delivery.ack())
            await asyncio.sleep(0)
            waiting = await cancelling(queue, client)
        await acking
        assert await waiting is Cancellation.FINISHED
    assert (await queue.statistics()).acked_total == 1
    await at_rest(client, queue.name)


@pytest.mark.parametrize("how", ["nack", "nack later", "dead letter", "give back"])
async def test_what_else_is_on_its_way_does_not_bring_it_back(
    proxy: Proxy, queue: Queue[int], client: Redis, how: str
) -> None:
    async with Session.open(proxy.url) as far:
        there = Queue(far, queue.name, int, max_attempts=1)
        await queue.put(1, id="one")
        delivery = await there.get()
        with proxy.frozen():
            if how == "give back":
                inside.take_lane_at(there).give_back(inside.receipt_of(delivery))
                inside.forget(there, delivery)
                settling = asyncio.ensure_future(asyncio.sleep(0))
            else:
                ways = {
                    "nack": delivery.nack(),
                    "nack later": delivery.nack(delay=60),
                    "dead letter": delivery.dead_letter("x"),
                }
                settling = asyncio.ensure_future(ways.pop(how))
                for unused in ways.values():
                    unused.close()
            await asyncio.sleep(0)
            waiting = await cancelling(queue, client)
        await settling
        assert await waiting is Cancellation.REMOVED
        with pytest.raises(QueueEmpty):
            await there.get_nowait()
    assert (await at_rest(client, queue.name)).dead == 0


async def test_an_acknowledgement_with_effects_wins_and_takes_the_mark_off(
    proxy: Proxy, queue: Queue[int], client: Redis
) -> None:
    async with Session.open(proxy.url) as far:
        await queue.put(1, id="one")
        delivery = await Queue(far, queue.name, int).get()
        delivery.effects.incrby(f"{queue.name}-effect", 1)
        with proxy.frozen():
            acking = asyncio.create_task(delivery.ack())
            await asyncio.sleep(0)
            waiting = await cancelling(queue, client)
        await acking
        assert await waiting is Cancellation.FINISHED
    assert await client.get(f"{queue.name}-effect") == b"1"
    await at_rest(client, queue.name)


async def test_a_holder_that_missed_the_notification_looks_when_it_is_back(
    proxy: Proxy, queue: Queue[int], client: Redis
) -> None:
    async with Session.open(proxy.url) as far:
        await queue.put(1, id="one")
        delivery = await Queue(far, queue.name, int).get()
        with proxy.refusing():
            waiting = await cancelling(queue, client)
            before = delivery.cancelled
        assert not before
        # Before the canceller's look a second later: it learns it by its own look.
        assert await waiting is Cancellation.STOPPED
        assert delivery.cancelled
    await at_rest(client, queue.name)


async def test_what_a_get_is_about_to_return_is_left_out(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    await queue.put(1, id="one")
    together = asyncio.create_task(there.get_many(2, within=30))
    await until(queue.statistics, lambda seen: seen.leased == 1)
    waiting = await cancelling(queue, client)
    await queue.put(2)
    async with asyncio.timeout(40), await together as batch:
        assert batch.items == [2]
    assert await waiting in {Cancellation.STOPPED, Cancellation.REMOVED}
    await at_rest(client, queue.name)
