"""Puts of one name that wait for room: they wait together, none is lost, and none waits longer than the first."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import Priority, Queue, QueueShutDown, Session
from tests.instruments import inside
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until
from tests.order.watching import at_rest, items, lengths, take


async def waiting(queue: Queue[int], count: int) -> None:
    await until(queue.statistics, lambda seen: seen.puts_waiting == count)


async def put(queue: Queue[int], item: int, count: int, key: str | None = None) -> "asyncio.Task[bool]":
    """A put of the name n that waits for room, as the last of so many."""
    task = asyncio.create_task(queue.put_unique(item, "n", replace=True, key=key))
    await waiting(queue, count)
    return task


async def test_those_behind_the_first_go_in_with_it_and_the_newest_is_handled(
    session: Session, other: Session, name: str
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=1), Queue(other, name, int)
    await queue.put(0)
    puts = [await put(queue, 1, 1), await put(theirs, 2, 2)]
    line = asyncio.create_task(queue.put_many([10, 11]))
    await waiting(queue, 4)
    puts.append(await put(theirs, 3, 5))
    await (await take(queue)).ack()
    async with asyncio.timeout(5):  # the queue is full again: only the first has room
        assert await asyncio.gather(*puts) == [True, False, False]
    seen = await queue.statistics()
    assert (seen.pending, seen.puts_waiting, seen.replaced_total, seen.put_total) == (1, 2, 2, 2)
    assert await items(queue) == [3, 10, 11]
    await line
    await at_rest(queue)


async def test_one_that_adds_nothing_goes_in_with_the_first_too(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    first = await put(queue, 1, 1)
    second = asyncio.create_task(queue.put_unique(2, "n"))
    await waiting(queue, 2)
    assert await items(queue) == [0, 1]
    assert (await first, await second) == (True, False)
    await at_rest(queue)


async def test_when_the_first_is_withdrawn_the_next_keeps_its_own_place(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    first = await put(queue, 1, 1)
    line = asyncio.create_task(queue.put(10))
    await waiting(queue, 2)
    second = await put(queue, 2, 3)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    third = await put(queue, 3, 3)
    assert await items(queue) == [0, 10, 3]
    assert [await line, await second, await third] == [True, True, False]
    await at_rest(queue)


async def test_when_the_owner_of_the_first_is_gone_the_next_goes_in(url: str, session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    async with Session.open(url) as far:
        first = await put(Queue(far, name, int), 1, 1)
        second = await put(queue, 2, 2)
    with pytest.raises(Exception, match="the session was closed"):
        await first
    assert await items(queue) == [0, 2]
    assert await second
    await at_rest(queue)


async def test_when_the_session_of_the_first_is_over_it_is_dropped_at_its_turn(
    session: Session, other: Session, name: str, client: Redis
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=1), Queue(other, name, int)
    await queue.put(0)
    first = await put(theirs, 1, 1)
    second = await put(queue, 2, 2)
    await inside.end_session(client, other, name)
    held = await take(queue)
    assert await second
    assert (held.item, (await queue.statistics()).replaced_total) == (0, 0)
    inside.pass_deadline(other, name)
    async with asyncio.timeout(20):
        assert await first is False  # put again by its process, where the second one waits
    await held.ack()
    assert await items(queue) == [1]
    await at_rest(queue)


async def test_one_that_waits_for_its_key_goes_in_with_the_others_of_its_name(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=8)
    await queue.put_many([10, 11], key="k")
    first = await put(queue, 1, 1, key="k")
    second = await put(queue, 2, 2, key="k")
    assert (await lengths(queue))["line:own"] == 2 + 1
    assert await items(queue) == [10, 11, 2]
    assert (await first, await second) == (True, False)
    await at_rest(queue)


@pytest.mark.parametrize("immediate", [False, True])
async def test_a_shutdown_refuses_those_that_wait(session: Session, name: str, immediate: bool) -> None:  # noqa: FBT001
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    puts = [await put(queue, 1, 1), await put(queue, 2, 2)]
    await queue.shutdown(immediate)
    for each in puts:
        with pytest.raises(QueueShutDown):
            await each
    assert "line:own" not in await lengths(queue)
    await queue.reopen()
    late = asyncio.create_task(queue.put_unique(3, "n"))
    await until(queue.statistics, lambda seen: seen.pending + seen.puts_waiting == 2 - immediate)
    assert await items(queue) == [0, 3][immediate:]
    assert await late
    await at_rest(queue)


async def test_another_bound_leaves_those_that_wait_together(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    line = asyncio.create_task(queue.put_many([10, 11]))
    await waiting(queue, 2)
    puts = [await put(queue, 1, 3), await put(queue, 2, 4)]
    await queue.resize(2)
    await waiting(queue, 3)
    assert (await lengths(queue))["line:own"] == 2
    await queue.resize(4)
    async with asyncio.timeout(5):
        assert await asyncio.gather(*puts) == [True, False]
    assert await items(queue) == [0, 10, 11, 2]
    await line
    await at_rest(queue)


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
async def test_a_call_that_is_repeated_replaces_once(
    session: Session, proxy: Proxy, through_proxy: Session, name: str, fate: Fate
) -> None:
    queue, theirs = Queue(session, name, int), Queue(through_proxy, name, int)
    await queue.put_unique(1, "n")
    await theirs.qsize()
    fates = iter([fate])
    proxy.judge = lambda command: next(fates, Fate.PASS) if command.name == "put" else Fate.PASS
    async with asyncio.timeout(40):
        assert not await theirs.put_unique(2, "n", replace=True)
    assert (await queue.statistics()).replaced_total == 1
    assert await items(queue) == [2]
    await at_rest(queue)


async def test_who_is_cut_off_when_it_went_in_learns_whether_it_was_added(
    session: Session, proxy: Proxy, through_proxy: Session, name: str
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=1), Queue(through_proxy, name, int)
    await queue.put(0)
    puts = [await put(theirs, 1, 1), await put(theirs, 2, 2)]
    with proxy.refusing():
        proxy.cut()
        assert await items(queue) == [0, 2]
    async with asyncio.timeout(40):
        assert await asyncio.gather(*puts) == [True, False]
    await at_rest(queue)


@pytest.mark.parametrize("room", [1, 3])
async def test_those_of_shares_and_priorities_leave_the_fair_line_together(
    session: Session, name: str, room: int
) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    puts = []
    for count, (number, share) in enumerate(((1, "one"), (2, "other"), (3, "one")), 1):
        asked = queue.put_unique(number, "n", replace=True, share=share, priority=Priority.HIGH)
        puts.append(asyncio.create_task(asked))
        await waiting(queue, count)
    line = asyncio.create_task(queue.put_many(range(10, 14), share="third"))
    await waiting(queue, 7)
    assert (await lengths(queue))["line:fair"] == 7
    await queue.resize(1 + room)
    async with asyncio.timeout(5):
        assert await asyncio.gather(*puts) == [True, False, False]
    await waiting(queue, 5 - room)
    assert (await lengths(queue))["line:fair"] == 5 - room
    assert sorted(await items(queue)) == [0, 3, 10, 11, 12, 13]
    await line
    await at_rest(queue)
