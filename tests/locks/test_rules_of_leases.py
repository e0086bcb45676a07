"""The rules of the lease (docs/guarantees.md), each with tests that bear its number."""

import asyncio

import pytest

from shared.concurrency import (
    Lock,
    ReadersWritersLease,
    Semaphore,
    Session,
)
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.locks.leases.read_write_holds import Policy
from tests.instruments import inside, lease_processes
from tests.instruments.lease_waiters import Waiters, waiters
from tests.instruments.processes import running
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


# --- 1: granting ------------------------------------------------------------------------------------------------------


async def test_rule_1_a_release_hands_the_hold_to_the_next_in_line(session: Session, other: Session, name: str) -> None:
    lock = Lock(session, name)
    queued = Waiters(lock)
    async with lock:
        for who, place in (("first", other), ("second", session), ("third", other)):
            await queued.join(who, Lock(place, name))
    for at, who in enumerate(("first", "second", "third")):
        await queued.inside(*("first", "second", "third")[: at + 1])
        queued.may_leave[who].set()
    await queued.end()
    assert queued.order == ["first", "second", "third"]


async def test_rule_1_who_finds_an_expired_holder_passes_the_hold_on(url: str, session: Session, name: str) -> None:
    async with running(lease_processes.lock, url, name, 0.5) as process:
        token = await process.said("holds")
        await process.kill()
        async with Lock(session, name) as lease:
            assert lease.token > token
            assert len((await Lock(session, name).statistics()).holders) == 1


# --- 2: policies ------------------------------------------------------------------------------------------------------


async def in_order_of(policy: Policy, session: Session, name: str, url: str) -> list[str]:
    """Who comes in behind a writer: readers 1 and 2 wait, then writer 1, then reader 3, then writer 2."""
    lease = ReadersWritersLease(session, name, policy)
    queued = Waiters(lease)
    async with Session.open(url) as a, Session.open(url) as b, Session.open(url) as c:
        places = [ReadersWritersLease(place, name, policy) for place in (a, b, c)]
        async with lease.write():
            await queued.join("r1", places[0].read())
            await queued.join("r2", places[1].read())
            await queued.join("w1", places[0].write())
            await queued.join("r3", places[2].read())
            await queued.join("w2", places[1].write())
        order: list[str] = []
        while len(order) < 5:
            await queued.come(len(order) + 1)
            # They come in together, or alone.
            await queued.come(len(order) + len((await lease.statistics()).holders))
            fresh = sorted(queued.order[len(order) :])
            order += fresh
            for who in fresh:
                queued.may_leave[who].set()
        await queued.end()
    return order


async def test_rule_2_fair_lets_all_waiting_readers_in_behind_a_writer(session: Session, url: str, name: str) -> None:
    assert await in_order_of("fair", session, name, url) == ["r1", "r2", "r3", "w1", "w2"]


async def test_rule_2_writers_lets_writers_first(session: Session, url: str, name: str) -> None:
    assert await in_order_of("writers", session, name, url) == ["w1", "w2", "r1", "r2", "r3"]


async def test_rule_2_readers_lets_readers_first(session: Session, url: str, name: str) -> None:
    assert await in_order_of("readers", session, name, url) == ["r1", "r2", "r3", "w1", "w2"]


@pytest.mark.parametrize("policy", ["fair", "writers"])
async def test_rule_2_a_reader_behind_a_waiting_writer_waits(
    session: Session, other: Session, name: str, policy: Policy
) -> None:
    catalog, elsewhere = ReadersWritersLease(session, name, policy), ReadersWritersLease(other, name, policy)
    queued = Waiters(catalog)
    async with catalog.read():
        await queued.join("w", catalog_writer := elsewhere.write())
        await queued.join("r", elsewhere.read())
        assert await elsewhere.read().locked()
        assert queued.order == []
    await queued.inside("w")
    queued.may_leave["w"].set()
    await queued.inside("w", "r")
    await queued.end()
    assert catalog_writer is not None


async def test_rule_2_a_reader_does_not_wait_for_a_waiting_writer_when_readers_go_first(
    session: Session, other: Session, name: str
) -> None:
    catalog, elsewhere = (ReadersWritersLease(place, name, "readers") for place in (session, other))
    queued = Waiters(catalog)
    async with catalog.read():
        await queued.join("w", elsewhere.write())
        async with elsewhere.read():
            assert queued.order == []
    await queued.inside("w")
    await queued.end()


async def test_rule_2_another_kind_is_refused_while_the_name_is_in_use(
    session: Session, other: Session, name: str
) -> None:
    async with ReadersWritersLease(session, name).read():
        for claim in (
            ReadersWritersLease(other, name, "readers").read(),
            Lock(other, name),
            Semaphore(other, name, 2),
        ):
            with pytest.raises(ValueError, match=r"in use as fair"):
                await claim.acquire()
    async with Semaphore(other, name, 2):
        with pytest.raises(ValueError, match="in use as limit 2, and here as lock"):
            await Lock(session, name).acquire()


# --- 3: the local deadline --------------------------------------------------------------------------------------------


async def test_rule_3_the_local_deadline_is_before_the_server_s(session: Session, name: str) -> None:
    async with Lock(session, name, ttl=2.0) as lease:
        here = lease.seconds_left
        there = (await Lock(session, name).statistics()).holders[0].seconds_left
        assert here < there - 0.09  # 5 % of the time to live, less what the question took


async def test_rule_3_a_grant_that_comes_too_late_is_given_back(proxy: Proxy, other: Session, name: str) -> None:
    async with Session.open(proxy.url) as late:
        await Lock(late, f"{name}-first").locked()  # connected
        async with proxy.holding("acquire") as hold:
            acquiring = asyncio.create_task(Lock(late, name, ttl=0.3).acquire())
            await hold.arrived.wait()
            first = (await Lock(other, name).statistics()).holders[0].token
            await until(Lock(other, name).statistics, lambda now: not now.holders)  # expired on its way
        lease = await acquiring
        assert lease.token > first
        assert lease.seconds_left > 0
        await lease.release()


async def test_rule_3_a_wake_up_that_comes_too_late_is_not_relied_on(proxy: Proxy, other: Session, name: str) -> None:
    lock = Lock(other, name)
    async with Session.open(proxy.url) as late:
        async with lock:
            acquiring = asyncio.create_task(Lock(late, name, ttl=0.4).acquire())
            await waiters(lock, 1)
            freeze = proxy.frozen()
            freeze.__enter__()
        first = (await until(lock.statistics, lambda now: len(now.holders) == 1)).holders[0].token
        await until(lock.statistics, lambda now: not now.holders)
        freeze.__exit__(None, None, None)
        lease = await acquiring
        assert lease.token > first
        await lease.release()


# --- 6: idempotence ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
async def test_rule_6_a_repeated_acquire_is_the_same_hold(proxy: Proxy, other: Session, name: str, fate: Fate) -> None:
    async with Session.open(proxy.url) as session:
        met = proxy.drop_nth(1, fate, lambda command: command.name == "acquire")
        async with Lock(session, name) as lease:
            assert met.is_set()
            holders = (await Lock(other, name).statistics()).holders
            assert [holder.token for holder in holders] == [lease.token]
        assert (await Lock(other, name).statistics()).holders == ()


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
async def test_rule_6_a_repeated_release_ends_one_hold(proxy: Proxy, other: Session, name: str, fate: Fate) -> None:
    async with Session.open(proxy.url) as session:
        async with Lock(session, name):
            met = proxy.drop_nth(1, fate, lambda command: command.name == "release")
        assert met.is_set()
        async with Lock(other, name):
            pass


async def test_rule_6_an_acquire_that_runs_behind_its_release_is_refused(session: Session, name: str) -> None:
    keys, late = lease_keys(name), inside.new_id_of(session)
    assert await inside.ask(session, "release", keys, late, 1, "a run") == [b"unknown", 0]
    assert await inside.ask(session, "acquire", keys, late, "p", "lock", "a run", "", 1, "") == [b"withdrawn"]
    assert (await Lock(session, name).statistics()).holders == ()
    async with Lock(session, name):
        pass


# --- 8: dead waiters --------------------------------------------------------------------------------------------------


async def test_rule_8_the_waiters_of_a_killed_process_are_passed_over(url: str, session: Session, name: str) -> None:
    lock = Lock(session, name)
    queued = Waiters(lock)
    async with lock, running(lease_processes.many_waiters, url, name, 30.0, 50) as process:
        await waiters(lock, 50)
        await queued.join("behind them", Lock(session, name))
        await process.kill()
    # At once, though the server counts the fifty as waiting for their time to live.
    async with asyncio.timeout(15):
        await queued.inside("behind them")
    (holder,) = (await lock.statistics()).holders
    assert holder.owner == inside.owner_of(session)
    await queued.end()
