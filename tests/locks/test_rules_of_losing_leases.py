"""The rules of leases that tell how one is renewed, lost, and ended: 4, 5 and 14."""

import asyncio
import contextlib
import time

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    ConcurrencyError,
    Lease,
    LeaseLost,
    Lock,
    Session,
)
from shared.concurrency.locks.leases.hold import Hold, Loss
from shared.concurrency.locks.leases.keys import lease_keys
from tests.instruments import inside, lease_processes
from tests.instruments.lease_waiters import forget, waiters
from tests.instruments.processes import running
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


# --- 4: loss ----------------------------------------------------------------------------------------------------------


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


# --- 5: renewal -------------------------------------------------------------------------------------------------------


async def test_rule_5_a_busy_loop_keeps_its_lease(session: Session, other: Session, name: str) -> None:
    async with Lock(session, name, ttl=0.3) as lease:
        time.sleep(1.0)  # noqa: ASYNC251  # that is the point
        lease.check()
        assert (await Lock(other, name).statistics()).holders[0].token == lease.token


async def test_rule_5_a_hung_loop_is_not_renewed_for_ever(session: Session, name: str) -> None:
    async with Lock(session, name, ttl=5.0) as lease:
        assert inside.hold_of(lease).may_be_renewed(14.0)
        assert not inside.hold_of(lease).may_be_renewed(16.0)
        assert inside.lease_participant_of(session, name).renewals("", 16.0) == []
    async with Lock(session, name, ttl=0.3) as lease:
        assert inside.hold_of(lease).may_be_renewed(9.0)
        assert not inside.hold_of(lease).may_be_renewed(11.0)


@pytest.mark.measured
@pytest.mark.timing
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


@pytest.mark.measured
@pytest.mark.timing
async def test_rule_5_a_process_that_blocks_while_it_waits_holds_for_one_time_to_live(
    url: str, session: Session, name: str
) -> None:
    lock = Lock(session, name, ttl=0.6)
    # Before the process is there: it would hold the lock for ever.
    held = await lock.acquire()
    async with running(lease_processes.many_waiters, url, name, 0.6, 20) as process:
        await waiters(lock, 20)
        process.stop()
        await held.release()
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


async def test_rule_5_a_renewal_that_fails_is_repeated_long_before_the_next_is_due(proxy: Proxy, name: str) -> None:
    async with Session.open(proxy.url, ttl=6.0) as session, Lock(session, name):
        met = proxy.drop_nth(1, Fate.DROP_BEFORE, lambda command: command.name == "renew_holds")
        inside.renew_now(session)
        await met.wait()
        before = len(proxy.commands)

        async def renewals() -> int:
            return sum(command.name == "renew_holds" for command in proxy.commands[before:])

        await until(renewals, lambda count: count >= 1, seconds=1.5)  # after 0.3 s; the next is due after 2 s


async def test_rule_5_a_renewal_that_crosses_a_release_harms_nobody(session: Session, name: str) -> None:
    async with Lock(session, name) as lease:
        participant = inside.lease_participant_of(session, name)
        (request,) = participant.renewals("", 0.0)
    async with Lock(session, name) as later:
        participant.renewed(request, 0.0, [b"1", 0, b"0"])
        await asyncio.sleep(0)
        later.check()
        assert later.token > lease.token


# --- 14: times --------------------------------------------------------------------------------------------------------


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


def test_a_hold_that_is_not_renewed_is_told_once() -> None:
    forgotten: list[tuple[Hold, Loss]] = []
    hold = Hold("an id", "p", 1.0, lambda *loss: forgotten.append(loss))
    hold.lose("deadline")
    hold.lose("deadline")
    assert forgotten == [(hold, "deadline")]
