"""Shares in the snapshot and in the gauges: who has most is found however many there are, a part of them at a time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from monitor.link import open_link
from monitor.shares import Shares
from monitor.snapshot import Snapshot
from monitor.watch import Watch, open_watch
from shared import Priority
from shared.concurrency import Queue, Session
from shared.concurrency.queues.shares import QueueShare, SharesPart, SharesSnapshot
from tests.instruments.waiting import until
from tests.monitor.test_gauges import gauges


@pytest.fixture
async def watch(url: str) -> AsyncIterator[Watch]:
    """A watch of its own."""
    async with open_link(url) as link, open_watch(link) as watch:
        yield watch


async def taken(watch: Watch) -> Snapshot:
    await watch.look_again()
    return await watch.snapshot()


def of_queue(seen: Snapshot, name: str) -> SharesSnapshot:
    queue = seen.queue(name)
    assert queue is not None
    return queue.shares


async def test_they_are_as_the_queue_says(watch: Watch, session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=10)
    await queue.weigh("large", 2)
    await queue.put_many(range(7), share="large")
    await queue.put_many(range(2), share="small")
    await queue.put(1, share="small", priority=Priority.LOW)
    waiting = [asyncio.create_task(queue.put(number, share="large")) for number in range(5)]
    waiting += [asyncio.create_task(queue.put(number, share="late")) for number in range(2)]
    stated = await until(queue.statistics, lambda seen: seen.puts_waiting == 7)
    seen = await taken(watch)
    found = of_queue(seen, name)
    assert (found.count, found.is_whole) == (4, True)
    assert found.largest[0] == (await queue.shares(1))[0]
    assert set(found.largest) == set(await queue.shares())
    assert {(each.share, each.priority, each.pending, each.puts_waiting, each.weight) for each in found.largest} == {
        ("large", Priority.NORMAL, 7, 5, 2.0), ("small", Priority.NORMAL, 2, 0, 1.0),
        ("small", Priority.LOW, 1, 0, 1.0), ("late", Priority.NORMAL, 0, 2, 1.0),
    }  # fmt: skip
    # The first message of the largest is the oldest of all.
    assert found.oldest_seconds is not None
    assert stated.oldest_pending_seconds <= found.oldest_seconds <= (await queue.statistics()).oldest_pending_seconds
    shown = gauges(seen)
    assert (shown["shares", name], shown["largest_share", name]) == (4, 12)
    assert shown["largest_share_oldest_seconds", name] == found.oldest_seconds
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_queue_without_shares_has_none(watch: Watch, session: Session, name: str) -> None:
    await Queue(session, name, int).put(1)
    seen = await taken(watch)
    assert of_queue(seen, name) == SharesSnapshot(0, (), None, is_whole=True)
    shown = gauges(seen)
    assert [shown[word, name] for word in ("shares", "largest_share", "largest_share_oldest_seconds")] == [0, 0, 0]


async def test_the_largest_of_thousands_is_found_a_part_at_a_time(watch: Watch, session: Session, name: str) -> None:
    """Neither is it hidden by the many before it in the hash, nor by those whose turns come first."""
    queue = Queue(session, name, int)
    await queue.put_many(range(3000), share=lambda number: f"one-{number}")
    await queue.put_many(range(40), share="flood")
    first = of_queue(await taken(watch), name)
    assert (first.is_whole, 0 < first.count < 3001) == (False, True)
    seen = await until(watch.snapshot, lambda seen: of_queue(seen, name).is_whole)
    found = of_queue(seen, name)
    assert (found.count, len(found.largest)) == (3001, 10)
    assert (found.largest[0].share, found.largest[0].pending) == ("flood", 40)
    # Its turn is behind those of thousands: how long it waits is not known, and is no figure.
    assert found.oldest_seconds is None
    assert ("largest_share_oldest_seconds", name) not in gauges(seen)
    for _ in range(3040):
        async with await queue.get():
            pass
    # The last whole round holds until the next one ends.
    empty = await until(watch.snapshot, lambda seen: of_queue(seen, name).count == 0)
    assert of_queue(empty, name) == SharesSnapshot(0, (), None, is_whole=True)


def test_what_a_hash_that_shrinks_gives_once_more_is_listed_once() -> None:
    shares = Shares()
    before, after = (QueueShare("big", Priority.NORMAL, count, 0, 1.0) for count in (6, 3))
    shares.add(SharesPart("7", 1, (before,), None))
    assert shares.add(SharesPart("0", 1, (after,), None)).largest == (after,)
