"""Replies that are late, and what comes right behind them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, QueueShutDown, Session
from tests.instruments import inside
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until

pytestmark = pytest.mark.usefixtures("only_notified")


@pytest.fixture
async def late(proxy: Proxy, name: str) -> AsyncIterator[Queue[int]]:
    """A queue whose replies may be held back."""
    async with Session.open(proxy.url) as session:
        queue = Queue(session, name, int)
        await queue.put(0)
        async with await queue.get():
            pass
        yield queue


@pytest.fixture
async def other(url: str, name: str) -> AsyncIterator[Queue[int]]:
    """The same queue, past the proxy."""
    async with Session.open(url) as session:
        yield Queue(session, name, int)


async def test_a_wake_up_right_behind_the_empty_reply_is_heard(
    proxy: Proxy, late: Queue[int], other: Queue[int]
) -> None:
    async with proxy.holding("settle_and_take") as hold:
        get = asyncio.create_task(late.get())
        await hold.arrived.wait()  # found nothing, and is registered as idle
        await other.put(1)  # wakes it: the wake-up stands behind the reply
    async with asyncio.timeout(100), await get as item:
        assert item == 1


async def test_an_admission_right_behind_the_reply_of_a_put_is_heard(
    proxy: Proxy, late: Queue[int], other: Queue[int]
) -> None:
    await other.resize(1)
    await other.put(1)
    async with proxy.holding("put") as hold:
        put = asyncio.create_task(late.put(2))
        await hold.arrived.wait()  # is in line
        async with await other.get():
            pass  # let in: the news stand behind the reply
        assert (await other.statistics()).pending == 1
    async with asyncio.timeout(100):
        await put


async def test_a_shutdown_right_behind_the_reply_of_a_put_is_heard(
    proxy: Proxy, late: Queue[int], other: Queue[int]
) -> None:
    await other.resize(1)
    await other.put(1)
    async with proxy.holding("put") as hold:
        put = asyncio.create_task(late.put(2))
        await hold.arrived.wait()
        await other.shutdown()
    with pytest.raises(QueueShutDown):
        async with asyncio.timeout(100):
            await put


async def test_the_end_right_behind_the_reply_of_a_join_is_heard(
    proxy: Proxy, late: Queue[int], other: Queue[int]
) -> None:
    await other.put(1)
    async with proxy.holding("join") as hold:
        join = asyncio.create_task(late.join())
        await hold.arrived.wait()
        async with await other.get():
            pass
        assert not join.done()
    async with asyncio.timeout(100):
        await join
    assert (await other.statistics()).acked_total == 2


async def test_a_put_cancelled_while_its_reply_is_late_is_decided_by_the_reply(
    proxy: Proxy, late: Queue[int], other: Queue[int]
) -> None:
    # There is room, so it is in: a cancelled caller may find that out half a second later, not forever.
    async with proxy.holding("put") as hold:
        put = asyncio.create_task(late.put(1))
        await hold.arrived.wait()
        put.cancel()
        async with asyncio.timeout(100):
            await asyncio.wait({put})
    assert put.cancelled()
    assert await other.qsize() == 1


async def test_a_get_cancelled_while_its_reply_is_late_gives_back_what_arrives(
    proxy: Proxy, late: Queue[int], other: Queue[int]
) -> None:
    await other.put(1)
    async with proxy.holding("settle_and_take") as hold:
        get = asyncio.create_task(late.get())
        await hold.arrived.wait()
        get.cancel()
        await asyncio.wait({get})
        assert (await other.statistics()).leased == 1
    async with asyncio.timeout(100), await other.get() as item:
        assert item == 1
    assert (await until(other.statistics, lambda statistics: statistics.leased == 0)).nacked_total == 0


async def test_a_put_whose_session_ends_before_its_late_reply_is_put_again(
    url: str, proxy: Proxy, late: Queue[int], other: Queue[int]
) -> None:
    await other.resize(1)
    await other.put(1)
    async with proxy.holding("put") as hold, Redis.from_url(url, protocol=3) as client:
        put = asyncio.create_task(late.put(2))
        await hold.arrived.wait()  # is in line, and does not know it
        # As after SIGSTOP: the server lets the session end, and our clock says so before the reply is read.
        await client.zadd(f"{{{late.name}}}:sessions", {inside.session_id_at(late): 1}, xx=True)
        async with await other.get() as item:
            assert item == 1
        assert (await other.statistics()).puts_waiting == 0
        inside.member_at(late).over(inside.session_id_at(late))
    async with asyncio.timeout(5), await other.get() as item:
        assert item == 2
    await put


async def test_a_put_cancelled_while_the_reply_that_has_it_wait_is_late_leaves_the_line(
    proxy: Proxy, late: Queue[int], other: Queue[int]
) -> None:
    await other.resize(1)
    await other.put(1)
    async with proxy.holding("put") as hold:
        put = asyncio.create_task(late.put(2))
        await hold.arrived.wait()  # it is in line, and nobody here knows
        put.cancel()
        await asyncio.wait({put})
        assert put.cancelled()
        assert (await other.statistics()).puts_waiting == 1
    await until(other.statistics, lambda seen: seen.puts_waiting == 0, seconds=90)
    async with await other.get() as item:
        assert item == 1
    assert await other.qsize() == 0


@pytest.mark.parametrize("ttl", [1.0, 1.5])
async def test_what_arrives_after_the_session_is_over_is_not_begun(
    proxy: Proxy, queue: Queue[int], name: str, ttl: float
) -> None:
    async with Session.open(proxy.url, ttl=ttl) as session:
        there = Queue(session, name, int)
        await there.statistics()
        await queue.put(1)

        async def session_id() -> str:
            return inside.session_id_at(there)

        # A renewal that is answered in the middle of it would have the session live on.
        proxy.judge = lambda command: Fate.DROP_BEFORE if command.name == "renew" else Fate.PASS
        async with proxy.holding("settle_and_take") as hold:
            getting = asyncio.create_task(there.get())
            await hold.arrived.wait()  # it is leased to a session
            before = inside.session_id_at(there)
            # which is over by its own clock: the process was stopped, and did not look at it yet.
            inside.member_at(there).life.deadline = 0.0
        async with asyncio.timeout(40):
            await until(session_id, lambda now: now != before)
            proxy.judge = lambda _: Fate.PASS
            delivery = await getting
        assert delivery.attempt == 2, "others have the first"
        await delivery.ack()
