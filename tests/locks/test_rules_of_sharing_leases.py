"""The rules of leases that tell who shares a hold, who would wait for itself, and what a token says: 9, 10 and 11."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    ConcurrencyError,
    Event,
    LeaseLost,
    Lock,
    ReadersWritersLease,
    Semaphore,
    Session,
)
from shared.concurrency.locks.leases.acquirable import Acquirable
from tests.instruments.lease_waiters import Waiters, forget, waiters
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


# --- 9: sharing -------------------------------------------------------------------------------------------------------


async def test_rule_9_a_second_local_reader_costs_no_round_trip(proxy: Proxy, name: str) -> None:
    async with Session.open(proxy.url) as session:
        catalog, again = ReadersWritersLease(session, name), ReadersWritersLease(session, name)
        async with catalog.read():
            pass  # a step that the server has not seen yet is sent twice
        async with catalog.read() as first:
            proxy.commands.clear()
            async with catalog.read() as second, again.read():
                assert second.token == first.token
            assert proxy.of_session() == []
        assert [command.name for command in proxy.of_session()] == ["release"]


async def test_rule_9_readers_that_come_together_ask_once(proxy: Proxy, name: str) -> None:
    async with Session.open(proxy.url) as session:
        catalog = ReadersWritersLease(session, name)
        inside = asyncio.Barrier(10)

        async def read() -> None:
            async with catalog.read():
                await inside.wait()

        await asyncio.gather(*(read() for _ in range(10)))
        assert proxy.count("acquire") == 1
        assert proxy.count("release") == 1


async def test_rule_9_a_waiting_writer_closes_a_shared_hold(session: Session, other: Session, name: str) -> None:
    catalog, elsewhere = ReadersWritersLease(session, name), ReadersWritersLease(other, name)
    queued = Waiters(catalog)
    async with catalog.read():
        await queued.join("w", elsewhere.write())
        await queued.join("r", catalog.read())
        # Its own reads go on, and its child's: they would wait for themselves.
        async with catalog.read():
            pass

        async def child() -> None:
            async with catalog.read():
                pass

        await asyncio.create_task(child())
        assert queued.order == []
    await queued.inside("w")
    queued.may_leave["w"].set()
    await queued.end()
    assert queued.order == ["w", "r"]


async def test_rule_9_a_child_whose_parent_has_left_waits_like_anybody(
    session: Session, other: Session, name: str
) -> None:
    catalog, elsewhere = ReadersWritersLease(session, name), ReadersWritersLease(other, name)
    queued = Waiters(catalog)
    parent_left = asyncio.Event()

    async def child() -> None:
        await parent_left.wait()
        async with catalog.read():
            queued.order.append("child")

    async with elsewhere.read():
        async with catalog.read():
            reading = asyncio.create_task(child())
        await queued.join("w", elsewhere_writer(other, name))
        parent_left.set()
        await waiters(catalog, 2)
    await queued.inside("w")
    await queued.end()
    await reading
    assert queued.order == ["w", "child"]


def elsewhere_writer(session: Session, name: str) -> Acquirable[Any]:
    return ReadersWritersLease(session, name).write()


async def test_rule_9_losing_a_shared_hold_ends_every_body(client: Redis, session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    inside = asyncio.Barrier(4)

    async def read() -> None:
        async with catalog.read():
            await inside.wait()
            await asyncio.Event().wait()

    bodies = [asyncio.create_task(read()) for _ in range(3)]
    await inside.wait()
    await forget(client, session, name)
    results = await asyncio.gather(*bodies, return_exceptions=True)
    assert [type(result) for result in results] == [LeaseLost] * 3


async def test_rule_9_a_hold_whose_release_is_under_way_is_not_joined(proxy: Proxy, name: str) -> None:
    async with Session.open(proxy.url) as session:
        catalog = ReadersWritersLease(session, name)
        first = await catalog.read().acquire()
        async with proxy.holding("release") as hold:
            releasing = asyncio.create_task(first.release())
            await hold.arrived.wait()
            second = asyncio.create_task(catalog.read().acquire())
        await releasing
        lease = await second
        assert lease.token > first.token
        await lease.release()


# --- 10: self-deadlock ------------------------------------------------------------------------------------------------


async def test_rule_10_what_would_wait_for_itself_raises_at_once(session: Session, name: str) -> None:
    lock, catalog = Lock(session, f"{name}-lock"), ReadersWritersLease(session, f"{name}-catalog")
    permits = Semaphore(session, f"{name}-permits", 2)
    async with lock:
        with pytest.raises(RuntimeError):
            await Lock(session, f"{name}-lock").acquire()
    async with catalog.write():
        for claim in (catalog.write(), catalog.read()):
            with pytest.raises(RuntimeError):
                await claim.acquire()
    async with catalog.read():
        with pytest.raises(RuntimeError, match="no upgrade"):
            await catalog.write().acquire()
    async with permits, permits:
        with pytest.raises(RuntimeError):
            await permits.acquire()


async def test_rule_10_a_child_that_waits_is_no_self_deadlock(session: Session, name: str) -> None:
    lock = Lock(session, name)
    queued = Waiters(lock)
    async with lock as lease:
        await queued.join("child", lock)
        assert queued.order == []
    await queued.inside("child")
    (holder,) = (await lock.statistics()).holders
    assert holder.token > lease.token
    await queued.end()


async def test_rule_10_a_hold_may_be_left_from_another_task(session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    writing = catalog.write()
    await asyncio.create_task(writing.__aenter__())
    assert len((await catalog.statistics()).holders) == 1
    await asyncio.create_task(writing.__aexit__(None, None, None))
    assert (await catalog.statistics()).holders == ()
    async with catalog.write():
        pass


async def test_rule_10_downgrade_lets_readers_in_and_no_writer_between(
    session: Session, other: Session, name: str
) -> None:
    catalog, elsewhere = ReadersWritersLease(session, name), ReadersWritersLease(other, name)
    queued = Waiters(catalog)
    async with catalog.write() as lease:
        await queued.join("w", elsewhere.write())
        await queued.join("r", elsewhere.read())
        token = lease.token
        await lease.downgrade()
        await lease.downgrade()  # once is enough
        assert (lease.mode, lease.token) == ("read", token)
        await queued.inside("r")
        async with catalog.read() as inner:
            assert inner.token == token
    queued.may_leave["r"].set()
    await queued.inside("r", "w")
    await queued.end()


# --- 11: tokens -------------------------------------------------------------------------------------------------------


async def test_rule_11_tokens_grow_with_every_grant(session: Session, other: Session, name: str) -> None:
    tokens: list[int] = []
    for place in (session, other, session):
        for claim in (
            ReadersWritersLease(place, name).read(),
            ReadersWritersLease(place, name).write(),
            Lock(place, name),
        ):
            async with claim as lease:
                tokens.append(lease.token)
    assert tokens == sorted(set(tokens))


async def test_rule_11_neighbours_differ_though_the_clock_went_back(client: Redis, session: Session, name: str) -> None:
    ahead = 9_007_199_254_740_000  # near 2**53, past the clock: the next are its neighbours, to the last digit
    async with Lock(session, name):
        pass
    await client.hset(f"{{{name}}}:lease", "token", str(ahead))  # type: ignore[misc]
    for step in (1, 2, 3):
        async with Lock(session, name) as lease:
            assert lease.token == ahead + step


async def test_who_waits_when_the_session_is_closed_is_withdrawn(url: str, session: Session, name: str) -> None:
    async with ReadersWritersLease(session, name).write():
        async with Session.open(url) as ending:
            catalog = ReadersWritersLease(ending, name)
            waiting = [asyncio.create_task(each.acquire()) for each in (catalog.read(), catalog.write())]
            event = asyncio.create_task(Event(ending, name).wait())
            await until(catalog.statistics, lambda now: len(now.waiters) == 2)
        for ended in (*waiting, event):
            async with asyncio.timeout(5):
                with pytest.raises(ConcurrencyError, match=r"the session (is|was) closed"):
                    await ended
        assert not (await ReadersWritersLease(session, name).statistics()).waiters
