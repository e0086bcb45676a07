"""The rules of the lease (DESIGN section 6), each with tests that bear its number."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import Context
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    ConcurrencyError,
    Condition,
    Event,
    Lease,
    LeaseLost,
    LeaseStatistics,
    Lock,
    ReadersWritersLease,
    Semaphore,
    Session,
)
from shared.concurrency.locks.leases.acquirable import Acquirable
from shared.concurrency.locks.leases.hold import Hold, Loss
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.locks.leases.read_write_holds import Policy
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside, lessees
from tests.instruments.processes import running
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def other(url: str) -> AsyncIterator[Session]:
    async with Session.open(url) as session:
        yield session


async def waiters(lease: Semaphore | ReadersWritersLease, count: int) -> LeaseStatistics:
    """Until so many wait."""
    return await until(lease.statistics, lambda now: len(now.waiters) == count)


class Line:
    """Tasks that wait for a lease one behind the other, and the order in which they got it."""

    def __init__(self, lease: Semaphore | ReadersWritersLease) -> None:
        self._lease = lease
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.may_leave: dict[str, asyncio.Event] = {}

    async def join(self, who: str, claim: Acquirable[Any]) -> None:
        """Have somebody wait, behind those who wait already."""
        before = len((await self._lease.statistics()).waiters)
        self.may_leave[who] = asyncio.Event()
        # No child of whoever reads here: that one would join its parent.
        self.tasks.append(asyncio.create_task(self._hold(who, claim), context=Context()))
        await waiters(self._lease, before + 1)

    async def _hold(self, who: str, claim: Acquirable[Any]) -> None:
        async with claim:
            self.order.append(who)
            await self.may_leave[who].wait()

    async def come(self, count: int) -> None:
        """Until so many have come in so far."""

        async def look() -> int:
            return len(self.order)

        await until(look, lambda seen: seen >= count)

    async def inside(self, *who: str) -> None:
        """Until these, and nobody else, have come in so far."""

        async def look() -> list[str]:
            return sorted(self.order)

        await until(look, lambda order: order == sorted(who))

    async def end(self) -> None:
        for event in self.may_leave.values():
            event.set()
        await asyncio.gather(*self.tasks)


# --- 1: granting ------------------------------------------------------------------------------------------------------


async def test_rule_1_a_release_hands_the_hold_to_the_next_in_line(session: Session, other: Session, name: str) -> None:
    lock = Lock(session, name)
    line = Line(lock)
    async with lock:
        for who, place in (("first", other), ("second", session), ("third", other)):
            await line.join(who, Lock(place, name))
    for at, who in enumerate(("first", "second", "third")):
        await line.inside(*("first", "second", "third")[: at + 1])
        line.may_leave[who].set()
    await line.end()
    assert line.order == ["first", "second", "third"]


async def test_rule_1_who_finds_an_expired_holder_passes_the_hold_on(url: str, session: Session, name: str) -> None:
    async with running(lessees.lock, url, name, 0.5) as process:
        token = await process.said("holds")
        await process.kill()
        async with Lock(session, name) as lease:
            assert lease.token > token
            assert len((await Lock(session, name).statistics()).holders) == 1


# --- 2: policies ------------------------------------------------------------------------------------------------------


async def in_order_of(policy: Policy, session: Session, name: str, url: str) -> list[str]:
    """Who comes in behind a writer: readers 1 and 2 wait, then writer 1, then reader 3, then writer 2."""
    lease = ReadersWritersLease(session, name, policy)
    line = Line(lease)
    async with Session.open(url) as a, Session.open(url) as b, Session.open(url) as c:
        places = [ReadersWritersLease(place, name, policy) for place in (a, b, c)]
        async with lease.write():
            await line.join("r1", places[0].read())
            await line.join("r2", places[1].read())
            await line.join("w1", places[0].write())
            await line.join("r3", places[2].read())
            await line.join("w2", places[1].write())
        order: list[str] = []
        while len(order) < 5:
            await line.come(len(order) + 1)
            # They come in together, or alone.
            await line.come(len(order) + len((await lease.statistics()).holders))
            fresh = sorted(line.order[len(order) :])
            order += fresh
            for who in fresh:
                line.may_leave[who].set()
        await line.end()
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
    line = Line(catalog)
    async with catalog.read():
        await line.join("w", catalog_writer := elsewhere.write())
        await line.join("r", elsewhere.read())
        assert await elsewhere.read().locked()
        assert line.order == []
    await line.inside("w")
    line.may_leave["w"].set()
    await line.inside("w", "r")
    await line.end()
    assert catalog_writer is not None


async def test_rule_2_a_reader_does_not_wait_for_a_waiting_writer_when_readers_go_first(
    session: Session, other: Session, name: str
) -> None:
    catalog, elsewhere = (ReadersWritersLease(place, name, "readers") for place in (session, other))
    line = Line(catalog)
    async with catalog.read():
        await line.join("w", elsewhere.write())
        async with elsewhere.read():
            assert line.order == []
    await line.inside("w")
    await line.end()


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
        with pytest.raises(ValueError, match="limit 2"):
            await Semaphore(session, name, 3).acquire()


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


# --- 4: loss ------------------------------------------------------------------------------------------------------------


async def forget(client: Redis, session: Session, name: str) -> None:
    """Have the server forget a lease, and the session notice at its next renewal, which is asked for."""
    await client.delete(*lease_keys(name).values())
    inside.renew_now(session)


async def test_rule_4_a_lost_lease_cancels_the_body_and_raises(client: Redis, session: Session, name: str) -> None:
    cancelled = False
    with pytest.raises(LeaseLost):
        async with Lock(session, name) as lease:
            await forget(client, session, name)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                with pytest.raises(LeaseLost):
                    lease.check()
                raise
    assert cancelled
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_rule_4_a_body_that_ends_by_itself_learns_of_the_loss(client: Redis, session: Session, name: str) -> None:
    with pytest.raises(LeaseLost):
        async with Lock(session, name):
            await client.delete(*lease_keys(name).values())
    with pytest.raises(LeaseLost) as lost:
        async with Lock(session, name):
            await client.delete(*lease_keys(name).values())
            raise KeyError("something else")
    assert isinstance(lost.value.__cause__, KeyError)


async def test_rule_4_a_body_that_swallows_its_cancellation_learns_of_the_loss(
    client: Redis, session: Session, name: str
) -> None:
    with pytest.raises(LeaseLost):
        async with Lock(session, name):
            await forget(client, session, name)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
    await asyncio.sleep(0)  # no cancellation is left over


async def test_rule_4_cancellation_from_outside_wins(client: Redis, session: Session, name: str) -> None:
    inside, cancelled = asyncio.Event(), asyncio.Event()

    async def body() -> None:
        async with Lock(session, name):
            inside.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                await asyncio.sleep(0)
                raise

    task = asyncio.create_task(body())
    await inside.wait()
    await forget(client, session, name)
    await cancelled.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_rule_4_a_lease_by_hand_says_that_it_is_lost(client: Redis, session: Session, name: str) -> None:
    lock = Lock(session, name)
    lease = await lock.acquire()
    lease.check()
    await client.delete(*lease_keys(name).values())
    with pytest.raises(LeaseLost):
        await lease.release()
    with pytest.raises(LeaseLost):
        await lease.release()
    with pytest.raises(RuntimeError):
        await lock.release()
    assert (await lock.statistics()).holders == ()


async def test_rule_4_the_exit_does_not_wait_for_a_server_that_is_gone(proxy: Proxy, name: str) -> None:
    async with Session.open(proxy.url, ttl=0.5) as session:
        with pytest.raises(LeaseLost):
            async with Lock(session, name):
                with proxy.refusing():
                    await asyncio.Event().wait()
                    raise AssertionError("not cancelled")


# --- 5: renewal ---------------------------------------------------------------------------------------------------------


async def test_rule_5_a_busy_loop_keeps_its_lease(session: Session, other: Session, name: str) -> None:
    async with Lock(session, name, ttl=0.3) as lease:
        time.sleep(1.0)  # noqa: ASYNC251  # that is the point
        lease.check()
        assert (await Lock(other, name).statistics()).holders[0].token == lease.token


async def test_rule_5_a_hung_loop_is_not_renewed_for_ever(session: Session, name: str) -> None:
    async with Lock(session, name, ttl=5.0) as lease:
        assert inside.hold_of(lease).may_be_renewed(14.0)
        assert not inside.hold_of(lease).may_be_renewed(16.0)
        assert inside.lease_participant_of(session, name).renewal("", 16.0) is None
    async with Lock(session, name, ttl=0.3) as lease:
        assert inside.hold_of(lease).may_be_renewed(9.0)
        assert not inside.hold_of(lease).may_be_renewed(11.0)


async def test_rule_5_a_short_lease_is_renewed_in_a_long_session(session: Session, other: Session, name: str) -> None:
    async def left() -> float:
        return (await Lock(other, name).statistics()).holders[0].seconds_left

    async with Lock(session, name, ttl=0.3) as lease:
        for _ in range(3):
            before = await left()
            await until(left, before.__gt__)
            low = await left()
            await until(left, low.__lt__)
        lease.check()


async def test_rule_5_a_process_that_blocks_while_it_waits_holds_for_one_time_to_live(
    url: str, session: Session, name: str
) -> None:
    lock = Lock(session, name, ttl=0.6)
    async with running(lessees.many_waiters, url, name, 0.6, 20) as process:
        async with lock:
            await waiters(lock, 20)
            process.stop()
        began = time.monotonic()
        async with lock:
            # Once it was granted to somebody there; all the others have not asked again.
            assert time.monotonic() - began < 0.6 + 0.6


async def test_rule_5_a_broken_connection_has_all_renewed_at_once(proxy: Proxy, name: str) -> None:
    async with Session.open(proxy.url, ttl=60.0) as session, Lock(session, name):
        proxy.commands.clear()
        proxy.cut()

        async def renewals() -> int:
            return sum(command.name == "renew_holds" for command in proxy.commands)

        await until(renewals, lambda count: count >= 1)


async def test_rule_5_a_renewal_that_crosses_a_release_harms_nobody(session: Session, name: str) -> None:
    async with Lock(session, name) as lease:
        request = inside.lease_participant_of(session, name).renewal("", 0.0)
    assert request is not None
    async with Lock(session, name) as later:
        inside.lease_participant_of(session, name).renewed(request, 0.0, [b"1", 0, b"0"])
        await asyncio.sleep(0)
        later.check()
        assert later.token > lease.token


# --- 6: idempotence -----------------------------------------------------------------------------------------------------


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
    assert await inside.ask(session, "release", keys, late, 1) == b"unknown"
    assert await inside.ask(session, "acquire", keys, late, "p", "limit 1", "a run") == [b"withdrawn"]
    assert (await Lock(session, name).statistics()).holders == ()
    async with Lock(session, name):
        pass


# --- 8: dead waiters ----------------------------------------------------------------------------------------------------


async def test_rule_8_the_waiters_of_a_killed_process_are_passed_over(url: str, session: Session, name: str) -> None:
    lock = Lock(session, name)
    line = Line(lock)
    async with lock, running(lessees.many_waiters, url, name, 30.0, 50) as process:
        await waiters(lock, 50)
        await line.join("behind them", Lock(session, name))
        await process.kill()
    async with asyncio.timeout(5):  # and not 30 s, the time to live of each of the fifty
        await line.inside("behind them")
    await line.end()


# --- 9: sharing ---------------------------------------------------------------------------------------------------------


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
    line = Line(catalog)
    async with catalog.read():
        await line.join("w", elsewhere.write())
        await line.join("r", catalog.read())
        # Its own reads go on, and its child's: they would wait for themselves.
        async with catalog.read():
            pass

        async def child() -> None:
            async with catalog.read():
                pass

        await asyncio.create_task(child())
        assert line.order == []
    await line.inside("w")
    line.may_leave["w"].set()
    await line.end()
    assert line.order == ["w", "r"]


async def test_rule_9_a_child_whose_parent_has_left_waits_like_anybody(
    session: Session, other: Session, name: str
) -> None:
    catalog, elsewhere = ReadersWritersLease(session, name), ReadersWritersLease(other, name)
    line = Line(catalog)
    parent_left = asyncio.Event()

    async def child() -> None:
        await parent_left.wait()
        async with catalog.read():
            line.order.append("child")

    async with elsewhere.read():
        async with catalog.read():
            reading = asyncio.create_task(child())
        await line.join("w", elsewhere_writer(other, name))
        parent_left.set()
        await waiters(catalog, 2)
    await line.inside("w")
    await line.end()
    await reading
    assert line.order == ["w", "child"]


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


# --- 10: self-deadlock --------------------------------------------------------------------------------------------------


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
    line = Line(lock)
    async with lock:
        await line.join("child", lock)
    await line.inside("child")
    await line.end()


async def test_rule_10_a_hold_may_be_left_from_another_task(session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    writing = catalog.write()
    await asyncio.create_task(writing.__aenter__())
    await asyncio.create_task(writing.__aexit__(None, None, None))
    async with catalog.write():
        pass


async def test_rule_10_downgrade_lets_readers_in_and_no_writer_between(
    session: Session, other: Session, name: str
) -> None:
    catalog, elsewhere = ReadersWritersLease(session, name), ReadersWritersLease(other, name)
    line = Line(catalog)
    async with catalog.write() as lease:
        await line.join("w", elsewhere.write())
        await line.join("r", elsewhere.read())
        token = lease.token
        await lease.downgrade()
        await lease.downgrade()  # once is enough
        assert (lease.mode, lease.token) == ("read", token)
        await line.inside("r")
        async with catalog.read() as inner:
            assert inner.token == token
    line.may_leave["r"].set()
    await line.inside("r", "w")
    await line.end()


# --- 11: tokens ---------------------------------------------------------------------------------------------------------


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


# --- 12: restart --------------------------------------------------------------------------------------------------------


async def test_rule_12_a_server_that_kept_its_data_grants_nothing_new_for_one_time_to_live(
    durable: EmbeddedServer, name: str
) -> None:
    async with (
        Session.open(durable.url, ttl=3.0) as holder,
        Session.open(durable.url, ttl=3.0) as other,
        ReadersWritersLease(holder, name).read() as lease,
    ):
        await asyncio.to_thread(durable.kill)
        durable.start()
        back_at = time.monotonic()
        async with ReadersWritersLease(other, name).read():
            assert time.monotonic() - back_at > 2.0  # though a reader might come in beside another
        lease.check()  # renewals went on


async def test_rule_12_a_server_that_came_back_empty_has_forgotten(server: EmbeddedServer, name: str) -> None:
    async with Session.open(server.url, ttl=60.0) as session:
        with pytest.raises(LeaseLost):
            async with Lock(session, name):
                await asyncio.to_thread(server.kill)
                server.start()
                await asyncio.Event().wait()  # at once, and not in 20 s


async def test_rule_12_a_deadline_too_far_away_is_cut(client: Redis, session: Session, name: str) -> None:
    lock = Lock(session, name, ttl=1.0)
    await lock.acquire()
    stranger = "aaaaaaaaaaaa.1.1000"
    await client.hset(f"{{{name}}}:lease", stranger, "p 1")  # type: ignore[misc]
    await client.zadd(f"{{{name}}}:lease:holders", {stranger: time.time() * 1000 + 3_600_000})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await Semaphore(session, name, 1, ttl=1.0).acquire()
    await until(lock.statistics, lambda now: all(holder.seconds_left <= 1.0 for holder in now.holders))


# --- 13: conditions and events -----------------------------------------------------------------------------------------


async def test_rule_13_wait_and_notify_need_the_lock(session: Session, name: str) -> None:
    condition = Condition(session, name)
    calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [condition.wait, condition.notify, condition.notify_all]
    for call in calls:
        with pytest.raises(RuntimeError):
            await call()
    with pytest.raises(RuntimeError):
        await condition.wait_for(lambda: True)


async def test_rule_13_a_cancelled_wait_holds_the_lock_again_and_passes_the_notification_on(
    session: Session, other: Session, name: str
) -> None:
    condition, elsewhere = Condition(session, name), Condition(other, name)
    woken: list[str] = []

    async def wait(who: str, claim: Condition) -> None:
        async with claim as lease:
            try:
                await claim.wait()
                woken.append(who)
            finally:
                lease.check()

    first = asyncio.create_task(wait("first", condition))
    key = f"{{{name}}}:condition:waiters"
    async with Redis.from_url(str(url_of(session)), protocol=3) as client:
        await until(lambda: client.zcard(key), lambda count: count == 1)
        second = asyncio.create_task(wait("second", elsewhere))
        await until(lambda: client.zcard(key), lambda count: count == 2)
        async with elsewhere:
            await elsewhere.notify()
            first.cancel()  # notified, and cancelled before it has the lock again
        await asyncio.wait({first})
        assert first.cancelled()
        await second
    assert woken == ["second"]


def url_of(session: Session) -> str:
    return f"unix://{inside.heartbeat_path(session)}"


async def test_rule_13_notify_of_a_lost_lock_wakes_nobody(client: Redis, session: Session, name: str) -> None:
    condition = Condition(session, name)
    with pytest.raises(LeaseLost):
        async with condition:
            await client.delete(*lease_keys(name).values())
            await condition.notify()


async def test_rule_13_set_and_clear_between_two_looks_is_not_missed(
    session: Session, other: Session, name: str
) -> None:
    event, elsewhere = Event(session, name), Event(other, name)
    waiting = [asyncio.create_task(event.wait()) for _ in range(3)]
    async with Redis.from_url(url_of(session), protocol=3) as client:
        await until(lambda: client.zcard(f"{{{name}}}:event:watchers"), lambda count: count == 1)
    await elsewhere.set()
    await elsewhere.clear()
    assert await asyncio.gather(*waiting) == [True] * 3


# --- 14: times ----------------------------------------------------------------------------------------------------------


async def test_rule_14_max_hold_ends_a_body_that_never_ends(session: Session, other: Session, name: str) -> None:
    with pytest.raises(LeaseLost):
        async with Lock(session, name, ttl=0.3, max_hold=0.3):
            await asyncio.Event().wait()
    async with Lock(other, name):  # no delay behind what expired
        pass


async def test_rule_14_ending_a_session_gives_back_what_it_holds(url: str, session: Session, name: str) -> None:
    async with Session.open(url) as ending:
        lease: Lease = await Lock(ending, name).acquire()
    with pytest.raises(LeaseLost):
        lease.check()
    async with asyncio.timeout(5):
        await Lock(session, name).acquire()
    with pytest.raises(ConcurrencyError):
        await Lock(ending, name).acquire()


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


def test_a_hold_that_is_not_renewed_is_told_once() -> None:
    loop = asyncio.new_event_loop()
    forgotten: list[tuple[Hold, Loss]] = []
    hold = Hold("an id", "p", 1.0, loop, lambda *loss: forgotten.append(loss))
    hold.lose("deadline")
    hold.lose("deadline")
    assert forgotten == [(hold, "deadline")]
    loop.close()
