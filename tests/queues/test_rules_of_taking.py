"""The rules of the queue (docs/guarantees.md) that speak of taking: 6, 7, 10 and 11."""

import asyncio
import contextlib
from typing import Any

import pytest
from redis.asyncio import Redis

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, QueueEmpty, Session, StaleDelivery
from shared.concurrency.queues.membership.keys import leased_key
from tests.instruments import inside
from tests.instruments.waiting import until


async def test_rule_6_a_second_settlement_is_stale_and_changes_nothing(queue: Queue[int]) -> None:
    await queue.put(1)
    delivery = await queue.get()
    await delivery.ack()
    for again in (delivery.ack, delivery.nack):
        with pytest.raises(StaleDelivery):
            await again()
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.nacked_total, statistics.leased) == (1, 0, 0)


async def test_rule_6_settling_what_the_session_does_not_hold_is_refused(
    session: Session, queue: Queue[int], client: Redis
) -> None:
    await queue.put(1)
    delivery = await queue.get()
    await client.delete(leased_key(queue.name, inside.session_id_of(session, queue.name)))
    with pytest.raises(StaleDelivery):
        await delivery.ack()
    assert (await queue.statistics()).acked_total == 0


@pytest.mark.parametrize("kind", ["ack", "return", "nack", "dead", "crash"])
async def test_rule_6_what_another_session_holds_is_not_settled(
    session: Session, other: Session, name: str, kind: str
) -> None:
    ours, theirs = Queue(session, name, int), Queue(other, name, int)
    await theirs.put(1)
    delivery = await theirs.get()
    await ours.qsize()  # registered
    answer = await inside.settle_by_hand(ours, inside.receipt_of(delivery), kind)
    assert answer[2] == inside.receipt_of(delivery)  # refused
    seen = await ours.statistics()
    assert (seen.leased, seen.acked_total, seen.nacked_total, seen.dead, seen.pending) == (1, 0, 0, 0, 0)
    await delivery.ack()
    assert (await ours.statistics()).acked_total == 1


async def test_rule_6_a_call_does_not_take_what_it_has_just_nacked(queue: Queue[int]) -> None:
    await queue.put(1)
    delivery = await queue.get()
    # Both travel in one call; the nacked message is there for the next one.
    nacked, nothing = delivery.nack(), queue.get_nowait()
    results = await asyncio.gather(nacked, nothing, return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], QueueEmpty)
    async with await queue.get() as item:
        assert item == 1


async def test_rule_6_async_for_never_acks(queue: Queue[int]) -> None:
    await queue.put(1)
    await queue.shutdown()
    async for delivery in queue:
        assert (await queue.statistics()).leased == 1
        await delivery.ack()
    assert (await queue.statistics()).acked_total == 1


async def test_rule_7_after_a_lost_reply_nothing_is_orphaned(queue: Queue[int]) -> None:
    await queue.put_many([1, 2, 3])
    held = await queue.get()
    # A take whose reply nobody saw: its number is used up, its entry leased to us.
    reply = await inside.take_unheard(queue)
    assert len(reply[3]) == 1
    await inside.take_again(queue)
    statistics = await queue.statistics()
    assert (statistics.pending, statistics.leased, statistics.delayed) == (1, 1, 1)
    await held.ack()
    items = []
    for _ in range(2):
        async with await queue.get() as item:
            items.append(item)
    assert items == [2, 3]


async def test_rule_7_a_forgotten_delivery_is_given_back_with_a_warning(queue: Queue[int]) -> None:
    await queue.put(1)
    with pytest.warns(ResourceWarning, match="never settled"):
        await queue.get()
    async with await queue.get() as item:
        assert item == 1
    assert (await queue.statistics()).nacked_total == 0


async def test_rule_7_every_handler_has_a_time_limit(queue: Queue[int]) -> None:
    await queue.put(1)
    attempts = asyncio.Queue[int]()

    async def hang_once(delivery: Delivery[int]) -> None:
        attempts.put_nowait(delivery.attempt)
        if delivery.attempt == 1:
            await asyncio.Event().wait()

    worker = Worker(queue, hang_once, time_limit=0.1)
    running = asyncio.create_task(worker.run())
    await queue.join()
    await worker.stop(1)
    await running
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.nacked_total) == (1, 1)


async def test_rule_10_failures_make_a_dead_letter(session: Session, name: str) -> None:
    queue = Queue(session, name, int, max_attempts=3)
    await queue.put(7)
    for attempt in (1, 2, 3):
        delivery = await queue.get()
        assert delivery.attempt == attempt
        with pytest.raises(ZeroDivisionError):
            async with delivery as item:
                item // 0
    (letter,) = await queue.dead_letters()
    assert (letter.reason, letter.attempt, letter.failures, letter.body) == ("failed", 3, 3, b"7")
    assert letter.error.startswith("ZeroDivisionError")
    assert letter.put_at <= letter.died_at


async def test_rule_10_given_back_on_cancellation_is_no_failure(queue: Queue[int]) -> None:
    await queue.put(1)

    async def handle() -> None:
        async with await queue.get():
            await asyncio.Event().wait()

    handling = asyncio.create_task(handle())
    await until(queue.statistics, lambda statistics: statistics.leased == 1)
    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling
    statistics = await queue.statistics()
    assert (statistics.delayed, statistics.nacked_total) == (1, 0)
    delivery = await queue.get()
    assert delivery.attempt == 2
    await delivery.ack()


async def test_rule_10_a_message_that_kills_its_process_does_not_drag_others_along(
    url: str, name: str, client: Redis
) -> None:
    async with Session.open(url) as observer:
        watched = Queue(observer, name, int)
        await watched.put_many(range(10))
        held_at_crash = []
        while (await watched.statistics()).acked_total + (await watched.statistics()).dead < 10:
            async with Session.open(url) as session:
                deliveries = await take_all(Queue(session, name, int))
                if any(delivery.item == 0 for delivery in deliveries):
                    held_at_crash.append(len(deliveries))
                    await overdue(client, observer, name, inside.session_id_of(session, name))
                else:
                    for delivery in deliveries:
                        await delivery.ack()
        # From the second crash on, a session holds one suspect at a time.
        assert held_at_crash == [10, 10, 1, 1, 1]
        (letter,) = await watched.dead_letters()
        assert (letter.reason, letter.body, letter.attempt) == ("crashed", b"0", 5)
        assert (await watched.statistics()).recovered_total == 23


async def take_all(queue: Queue[int]) -> list[Delivery[int]]:
    deliveries = []
    with contextlib.suppress(QueueEmpty):
        while True:
            deliveries.append(await queue.get_nowait())
    return deliveries


async def overdue(client: Redis, observer: Session, name: str, session_id: str) -> None:
    """Have the queue recover what a session holds, as it does when the session's process is dead."""
    await client.zadd(f"{{{name}}}:sessions", {session_id: 1})
    await inside.recover(observer, name, session_id)


async def test_rule_11_a_put_wakes_one_idle_session(url: str, name: str, client: Redis) -> None:
    async with Session.open(url) as first, Session.open(url) as second, Session.open(url) as putting:
        queues = [Queue(session, name, int) for session in (first, second)]
        getters = []
        for count, queue in enumerate(queues, 1):
            getters.append(asyncio.create_task(queue.get()))
            await until(lambda: client.zcard(f"{{{name}}}:idle"), lambda idle, count=count: idle == count)  # type: ignore[misc]
        await Queue(putting, name, int).put(1)
        done, waiting = await asyncio.wait(getters, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        assert getters[0] in done, "the one that waits longest comes first"
        assert await client.zcard(f"{{{name}}}:idle") == 1
        await Queue(putting, name, int).put(2)
        for delivery in (await done.pop(), await waiting.pop()):
            await delivery.ack()


@pytest.mark.usefixtures("only_notified")
async def test_rule_11_a_woken_session_without_demand_passes_it_on(url: str, name: str, client: Redis) -> None:
    async with Session.open(url) as first, Session.open(url) as second:
        cancelled = asyncio.create_task(Queue(first, name, int).get())
        await until(lambda: client.zcard(f"{{{name}}}:idle"), lambda idle: idle == 1)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        getter = asyncio.create_task(Queue(second, name, int).get())
        await until(lambda: client.zcard(f"{{{name}}}:idle"), lambda idle: idle == 2)
        await Queue(first, name, int).put(1)
        async with asyncio.timeout(100), await getter as item:
            assert item == 1


async def test_rule_11_many_getters_of_many_sessions_take_every_message_without_waiting(url: str, name: str) -> None:
    async with Session.open(url) as first, Session.open(url) as second:

        async def take(session: Session) -> int:
            async with await Queue(session, name, int).get() as item:
                return item

        takers: list[asyncio.Task[Any]] = [asyncio.create_task(take(session)) for session in (first, second) * 50]
        async with asyncio.timeout(5):
            await Queue(first, name, int).put_many(range(100))
            assert sorted(await asyncio.gather(*takers)) == list(range(100))
