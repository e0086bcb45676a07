"""What cannot go takes no room from what can (rule 28): a key has an eighth of the bound behind it at most."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, QueueFull, QueueShutDown, Session
from tests.instruments import inside
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until
from tests.order.watching import at_rest, items, lengths, take


async def filled(queue: Queue[int], count: int) -> asyncio.Task[None]:
    """Put `count` messages of the key `hot`; returns once as many wait as have to."""
    putting = asyncio.create_task(queue.put_many(range(count), key="hot"))
    await until(queue.statistics, lambda seen: seen.puts_waiting == count - 1 - seen.maxsize // 8)
    return putting


async def test_another_key_is_let_in_at_once_beside_a_stuck_one_and_the_stuck_one_keeps_its_order(
    session: Session, other: Session, name: str
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=40), Queue(other, name, int)
    await queue.qsize()
    putting = await filled(theirs, 30)
    for item in range(100, 120):
        assert await queue.put_nowait(item, key=f"k{item}")
    with pytest.raises(QueueFull):
        await queue.put_nowait(1, key="hot")
    late = asyncio.create_task(queue.put(30, key="hot"))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 25)
    found = await items(queue)
    await putting
    await late
    assert [item for item in found if item < 100] == list(range(31))
    assert sorted(found) == [*range(31), *range(100, 120)]
    await at_rest(queue)


async def test_the_bound_holds_and_who_waits_for_its_key_comes_before_the_line(
    session: Session, other: Session, name: str
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=8), Queue(other, name, int)
    await queue.qsize()
    putting = await filled(theirs, 4)
    held = await take(queue)
    line = asyncio.create_task(queue.put_many(range(100, 120)))
    seen = await until(queue.statistics, lambda seen: seen.puts_waiting == 2 + 20 - 7)
    assert seen.pending == 8
    await held.ack()
    for _ in range(40):
        seen = await queue.statistics()
        assert seen.pending <= 8
        if seen.pending + seen.puts_waiting == 0:
            break
        async with await take(queue):
            pass
    await putting
    await line
    await at_rest(queue)


async def test_without_a_bound_nobody_waits_for_a_key(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(1000), key="hot")
    assert (await queue.statistics()).behind_keys == 999
    assert await queue.put(1000, key="cold")
    found = await items(queue)
    assert [item for item in found if item < 1000] == list(range(1000))
    await at_rest(queue)


async def test_a_larger_bound_lets_more_in_behind_a_key(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=8)
    putting = await filled(queue, 10)
    await queue.resize(16)
    assert (await queue.statistics()).behind_keys == 2
    await queue.resize(0)
    async with asyncio.timeout(5):
        await putting
    assert await items(queue) == list(range(10))
    await at_rest(queue)


async def test_a_cancelled_put_that_waits_for_its_key_leaves_nothing(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=8)
    await queue.put_many([0, 1], key="k")
    puts = [asyncio.create_task(queue.put(item, key="k")) for item in (2, 3, 4)]
    await until(queue.statistics, lambda seen: seen.puts_waiting == 3)
    puts[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await puts[1]
    assert (await lengths(queue))["line:own"] == 2
    assert await items(queue) == [0, 1, 2, 4]
    await asyncio.gather(puts[0], puts[2])
    await at_rest(queue)


async def test_who_waited_for_a_key_in_a_session_that_ended_is_not_let_in(
    url: str, session: Session, name: str
) -> None:
    queue = Queue(session, name, int, maxsize=8)
    await queue.put_many([0, 1], key="k")
    async with Session.open(url) as far:
        theirs = asyncio.create_task(Queue(far, name, int).put_many([2, 3], key="k"))
        await until(queue.statistics, lambda seen: seen.puts_waiting == 2)
        ours = asyncio.create_task(queue.put(4, key="k"))
        await until(queue.statistics, lambda seen: seen.puts_waiting == 3)
    with pytest.raises(Exception, match="the session was closed"):
        await theirs
    assert await items(queue) == [0, 1, 4]
    await ours
    await at_rest(queue)


async def test_what_was_let_in_is_remembered_for_a_day_at_most(
    session: Session, client: Redis, proxy: Proxy, through_proxy: Session, name: str
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=8), Queue(through_proxy, name, int)
    await queue.put_many([0, 1], key="k")
    putting = asyncio.create_task(theirs.put(2, key="k"))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    with proxy.frozen():
        async with await take(queue):
            pass
        assert 0 < await client.pttl(f"{{{name}}}:let_in") <= 24 * 3600 * 1000
    await putting
    assert await items(queue) == [1, 2]
    await at_rest(queue)


async def test_a_process_that_ends_when_its_put_was_let_in_leaves_nothing(
    session: Session, proxy: Proxy, name: str
) -> None:
    queue = Queue(session, name, int, maxsize=8)
    await queue.put_many([0, 1], key="k")

    async def produce() -> None:
        async with Session.open(proxy.url) as far:
            await Queue(far, name, int).put(2, key="k")
            # The call that says so, which is none of the scripts as they are, does not come through.
            proxy.judge = lambda command: Fate.DROP_BEFORE if command.name == "?" else Fate.PASS

    producing = asyncio.create_task(produce())
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    async with await take(queue):
        pass
    await producing
    assert "let_in" not in await lengths(queue)
    assert await items(queue) == [1, 2]
    await at_rest(queue)


async def test_who_waits_for_a_key_is_put_again_once_its_session_was_over(
    session: Session, other: Session, name: str
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=8), Queue(other, name, int)
    await queue.put_many([0, 1], key="k")
    putting = asyncio.create_task(theirs.put_many([2, 3, 4], key="k"))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 3)
    inside.member_at(theirs).over(inside.session_id_at(theirs))
    await until(lambda: lengths(queue), lambda found: found.get("line:own") == 3)
    assert await items(queue) == [0, 1, 2, 3, 4]
    await putting
    await at_rest(queue)


@pytest.mark.parametrize("immediate", [False, True])
async def test_a_shutdown_refuses_those_that_wait_for_a_key(session: Session, name: str, immediate: bool) -> None:  # noqa: FBT001
    queue = Queue(session, name, int, maxsize=8)
    putting = await filled(queue, 10)
    await queue.shutdown(immediate)
    with pytest.raises(QueueShutDown):
        await putting
    assert "line:own" not in await lengths(queue)
    await queue.reopen()
    late = asyncio.create_task(queue.put(20, key="hot"))
    await until(queue.statistics, lambda seen: seen.pending + seen.puts_waiting == (1 if immediate else 3))
    assert await items(queue) == ([20] if immediate else [0, 1, 20])
    await late
    await at_rest(queue)


async def test_a_known_id_that_waited_for_its_key_is_no_new_message(
    session: Session, other: Session, name: str
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=8), Queue(other, name, int)
    await queue.put_many([0, 1], key="k")
    puts = [asyncio.create_task(each.put(2, id="same", key="k")) for each in (queue, theirs)]
    await until(queue.statistics, lambda seen: seen.puts_waiting == 2)
    assert await items(queue) == [0, 1, 2]
    async with asyncio.timeout(5):
        assert sorted(await asyncio.gather(*puts)) == [False, True]
    await at_rest(queue)


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
async def test_a_put_that_waited_for_its_key_is_found_after_a_lost_answer(
    session: Session, proxy: Proxy, through_proxy: Session, name: str, fate: Fate
) -> None:
    """What is lost with the connection is what became of it while it was away: it was let in."""
    queue, theirs = Queue(session, name, int, maxsize=8), Queue(through_proxy, name, int)
    await queue.put_many([0, 1], key="k")
    await theirs.qsize()
    fates = iter([fate])
    proxy.judge = lambda command: next(fates, Fate.PASS) if command.name == "put" else Fate.PASS
    putting = asyncio.create_task(theirs.put_many([2, 3], key="k"))
    await until(lambda: lengths(queue), lambda found: found.get("line:own") == 2)
    assert await items(queue) == [0, 1, 2, 3]
    async with asyncio.timeout(40):
        await putting
    await at_rest(queue)


async def test_one_let_in_while_its_owner_was_cut_off_is_found(
    session: Session, proxy: Proxy, through_proxy: Session, name: str
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=8), Queue(through_proxy, name, int)
    await queue.put_many([0, 1], key="k")
    putting = asyncio.create_task(theirs.put_many([2, 3], key="k"))
    await until(lambda: lengths(queue), lambda found: found.get("line:own") == 2)
    with proxy.refusing():
        proxy.cut()
        assert await items(queue) == [0, 1, 2, 3]
    async with asyncio.timeout(40):
        await putting
    await at_rest(queue)
