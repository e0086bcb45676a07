"""How many dead letters a queue keeps, and how long: the oldest are discarded, and somebody says so."""

import asyncio
from typing import Any

import pytest

from shared.concurrency import Queue, Selection, Session
from tests.instruments import inside
from tests.instruments.inside import ask_at, renew_now, session_id_at
from tests.instruments.waiting import until

SAID = "dead letters were discarded"


@pytest.fixture
async def queue(session: Session, name: str) -> Queue[int]:
    return Queue(session, name, int, max_attempts=1, max_dead=3)


async def bury(queue: Queue[int], items: range) -> None:
    await queue.put_many(items)
    for _ in items:
        await (await queue.get()).nack()


async def kept(queue: Queue[int]) -> list[int]:
    return [int(letter.body) async for letter in queue.letters.find(Selection())]


async def test_the_oldest_beyond_the_bound_are_discarded(queue: Queue[int], caplog: pytest.LogCaptureFixture) -> None:
    await bury(queue, range(3))
    assert SAID not in caplog.text
    await bury(queue, range(3, 5))
    seen = await queue.statistics()
    assert (seen.dead, seen.dead_total, seen.discarded_total, seen.max_dead, seen.dead_for) == (3, 5, 2, 3, None)
    assert len(await kept(queue)) == 3
    assert 4 in await kept(queue)
    await until(lambda: asyncio.sleep(0, caplog.text.count(SAID)), lambda count: count == 2)
    assert await queue.replay() == 3
    assert (await queue.statistics()).discarded_total == 2


async def test_none_is_discarded_where_nobody_said_so(session: Session, name: str) -> None:
    queue = Queue(session, name, int, max_attempts=1)
    await bury(queue, range(20))
    renew_now(session)
    seen = await queue.statistics()
    assert (seen.dead, seen.discarded_total, seen.max_dead, seen.dead_for) == (20, 0, None, None)
    assert await kept(queue) == list(range(20))
    assert await queue.discard() == 20
    assert (await queue.statistics()).discarded_total == 0


async def test_a_shutdown_keeps_the_bound(queue: Queue[int]) -> None:
    await queue.put_many(range(1200))
    await queue.shutdown(immediate=True)
    seen = await queue.statistics()
    assert (seen.dead, seen.dead_total, seen.discarded_total) == (3, 1200, 1197)


async def test_what_its_crashes_made_dead_letters_keeps_the_bound(
    client: Any, session: Session, other: Session, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = Queue(session, name, int, max_crashes=1, max_dead=3)
    await queue.put_many(range(5))
    dying = Queue(other, name, int)
    held = [await dying.get() for _ in range(5)]
    await inside.crash(client, session, name, other)
    assert all(map(inside.is_lost, held))
    seen = await queue.statistics()
    assert (seen.dead, seen.discarded_total) == (3, 2)
    assert SAID in caplog.text


@pytest.mark.slow
@pytest.mark.session_ttl(600)  # it renews by hand only
async def test_a_bound_that_comes_later_is_reached_by_renewals(session: Session, name: str) -> None:
    await bury(Queue(session, name, int, max_attempts=1), range(1000))
    queue = Queue(session, name, int, max_dead=500)
    await queue.statistics()
    left = []
    for _ in range(4):
        await ask_at(queue, "renew", session_id_at(queue))
        left.append((await queue.statistics()).dead)
    assert left == [800, 600, 500, 500]


@pytest.fixture
async def aged(session: Session, client: Any, name: str) -> Queue[int]:
    """A queue with five dead letters, of which two are older than is allowed."""
    queue = Queue(session, name, int, max_attempts=1, dead_for=60)
    await bury(queue, range(5))
    index = f"{{{name}}}:dead:index"
    for key, died in await client.zrange(index, 0, 1, withscores=True):
        await client.zadd(index, {key: died - 61_000})
    return queue


async def test_those_that_are_too_old_are_discarded_though_none_comes(
    session: Session, aged: Queue[int], caplog: pytest.LogCaptureFixture
) -> None:
    renew_now(session)
    seen = await until(aged.statistics, lambda seen: seen.discarded_total == 2)
    assert (seen.dead, seen.dead_for) == (3, 60.0)
    assert len(await kept(aged)) == 3
    assert seen.oldest_dead_seconds < 60
    await until(lambda: asyncio.sleep(0, caplog.text), lambda text: SAID in text)


async def test_whoever_comes_first_sets_the_bounds(
    queue: Queue[int], other: Session, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await queue.statistics()
    later = Queue(other, name, int, max_dead=7, dead_for=9)
    seen = await later.statistics()
    assert (seen.max_dead, seen.dead_for) == (3, 9.0)
    assert "max_dead" in caplog.text
