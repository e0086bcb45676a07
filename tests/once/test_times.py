"""Debounce and throttle: `calm` holds a message back while others of its name come, `every` adds one in so long."""

import asyncio
from time import monotonic

import pytest

from shared.concurrency import Cancellation, Queue, QueueEmpty, Session
from tests.instruments import inside
from tests.instruments.waiting import until
from tests.order.watching import at_rest, items, lengths, take


async def due_of(queue: Queue[int]) -> float:
    """When what is delayed is due, in ms; there is one."""
    key = inside.member_at(queue).keys["delayed"].decode()
    ((_, due),) = await inside.command_at(queue, "ZRANGE", key, "0", "-1", "WITHSCORES")
    return float(due)


async def test_it_is_handed_out_when_its_name_has_been_calm_for_so_long(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    getting = asyncio.create_task(queue.get())
    since = monotonic()
    assert await queue.put_unique(0, "n", replace=True, calm=0.3)
    for number in range(1, 4):
        since = monotonic()
        assert not await queue.put_unique(number, "n", replace=True, calm=0.3)
    seen = await queue.statistics()
    assert (seen.pending, seen.delayed, seen.put_total, seen.replaced_total) == (0, 1, 1, 3)
    async with asyncio.timeout(20):
        delivery = await getting
    assert monotonic() - since >= 0.3
    assert (delivery.item, delivery.attempt) == (3, 1)
    assert await queue.put_unique(4, "n", replace=True, calm=0.001)
    await delivery.ack()
    assert await items(queue) == [4]
    await at_rest(queue)


async def test_each_put_begins_the_calm_anew_until_the_longest_is_over(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_unique(0, "n", replace=True, calm=1000.0, longest=3000.0)
    first = await due_of(queue)
    for calm, expected in ((2000.0, 1_000_000), (2900.0, 1_900_000), (2999.9999, 2_000_000), (10.0, -990_000)):
        await queue.put_unique(1, "n", replace=True, calm=calm, longest=3000.0)
        assert expected <= await due_of(queue) - first < expected + 30_000
    await queue.put_unique(2, "n", replace=True)  # which asks for no calm: it is due as it was
    assert -990_000 <= await due_of(queue) - first < -960_000
    await queue.put_unique(3, "n", calm=500.0)
    assert -500_000 <= await due_of(queue) - first < -470_000
    assert (await queue.statistics()).delayed == 1
    await queue.put_unique(4, "n", calm=0.001)
    assert await items(queue) == [2]
    await at_rest(queue)


async def test_who_is_idle_hears_of_one_that_is_due_sooner_now(session: Session, other: Session, name: str) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.put_unique(0, "n", calm=1000.0)
    getting = asyncio.create_task(theirs.get())

    async def idle() -> bool:
        return inside.is_idle(other, name)

    await until(idle, bool)
    since = monotonic()
    await queue.put_unique(1, "n", replace=True, calm=0.05)
    async with asyncio.timeout(20):
        delivery = await getting
    # Whoever hears nothing looks again after five seconds.
    assert monotonic() - since < 4
    assert delivery.item == 1
    await delivery.ack()
    await at_rest(queue)


async def test_calm_takes_room_and_what_waits_behind_it_is_let_in_once_it_is_taken(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put_unique(0, "n", calm=0.2)
    late = asyncio.create_task(queue.put(1))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    assert not await queue.put_unique(2, "n", replace=True, calm=0.2)
    assert await items(queue) == [2, 1]
    assert await late
    await at_rest(queue)


async def test_of_a_calm_put_that_waits_for_room_the_calm_begins_when_it_goes_in(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    puts = [
        asyncio.create_task(queue.put_unique(number, "n", replace=True, calm=0.001, longest=50.0)) for number in (1, 2)
    ]
    await until(queue.statistics, lambda seen: seen.puts_waiting == 2)
    assert await items(queue) == [0, 2]
    assert await asyncio.gather(*puts) == [True, False]
    await at_rest(queue)


async def test_behind_another_of_its_key_it_is_calm_before_it_runs(session: Session, other: Session, name: str) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.put(0, key="n")
    running = await take(theirs)
    since = monotonic()
    assert await queue.put_unique(1, "n", replace=True, calm=0.3, key="n")
    assert not await queue.put_unique(2, "n", replace=True, calm=0.3, key="n")
    await running.ack()
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    assert (await queue.statistics()).delayed == 1
    last = await take(queue)
    assert monotonic() - since >= 0.3
    assert last.item == 2
    await last.ack()
    await at_rest(queue)


async def test_one_in_so_many_seconds_however_soon_it_is_handled(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    assert await queue.put_unique(1, "n", every=60.0)
    assert not await queue.put_unique(2, "n", every=60.0)
    assert await items(queue) == [1]
    assert not await queue.put_unique(3, "n", every=60.0)
    assert await queue.put_unique(4, "n")  # which does not ask for it
    assert not await queue.put_unique(5, "n", every=0.001)
    assert await items(queue) == [4]
    assert await queue.put_unique(6, "m", every=0.001)
    assert await items(queue) == [6]

    async def again() -> bool:
        return await queue.put_unique(7, "m", every=0.001)

    await until(again, bool)
    assert await items(queue) == [7]
    await at_rest(queue)


async def test_one_that_goes_straight_to_a_getter_counts_for_every_too(
    session: Session, other: Session, name: str
) -> None:
    queue, theirs = Queue(session, name, int), Queue(other, name, int)
    await queue.qsize()
    getting = asyncio.create_task(theirs.get())

    async def idle() -> bool:
        return inside.is_idle(other, name)

    await until(idle, bool)
    assert await queue.put_unique(1, "n", every=60.0)
    async with asyncio.timeout(5), await getting:
        pass
    assert not await queue.put_unique(2, "n", every=60.0)
    assert await items(queue) == []
    await at_rest(queue)


# --- cancelled ----------------------------------------------------------------------------------------------------


async def test_a_put_after_it_was_cancelled_is_a_new_message(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    for calm in (None, 60.0):
        await queue.put_unique(1, "n", replace=True, calm=calm)
        await queue.put_unique(2, "n", replace=True)
        assert await queue.cancel_unique("n", timeout=0) is Cancellation.ASKED
        assert "once" not in await lengths(queue)
        assert await queue.cancel_unique("n", timeout=0) is Cancellation.UNKNOWN
        if calm is None:
            assert await queue.put_unique(3, "n", replace=True)
            assert await items(queue) == [3]
    await queue.shutdown(immediate=True)
    seen = await queue.statistics()
    assert (seen.cancelled_total, seen.dead_total) == (2, 0)
    await at_rest(queue)


async def test_those_that_wait_for_room_are_cancelled_by_their_name(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    puts = [asyncio.create_task(queue.put_unique(number, "n")) for number in (1, 2)]
    await until(queue.statistics, lambda seen: seen.puts_waiting == 2)
    assert await queue.cancel_unique("n") is Cancellation.REMOVED
    for each in puts:
        with pytest.raises(Exception, match="cancelled"):
            await each
    assert await items(queue) == [0]
    await at_rest(queue)
