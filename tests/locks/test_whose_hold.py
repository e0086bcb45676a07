"""Whose hold it is: release, notify and wait by hand take the calling task's own, and not the oldest."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Condition, Lease, LeaseLost, Lock, ReadersWritersLease, Semaphore, Session
from shared.concurrency.locks.leases.acquirable import Acquirable
from tests.instruments import inside
from tests.instruments.lease_waiters import forget
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


async def lost(client: Redis, session: Session, lease: Lease) -> None:
    """Have the server forget a lease, until its holder knows."""
    await forget(client, session, lease.name)

    async def left() -> float:
        return lease.seconds_left

    await until(left, lambda seconds: seconds == 0)


class Holder:
    """A task of its own that holds by hand, until it is told to go on."""

    def __init__(self, claim: Acquirable[Any]) -> None:
        self._claim = claim
        self._go_on = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._held = asyncio.get_running_loop().create_future()

    async def acquire(self) -> Lease:
        self._task = asyncio.create_task(self._hold())
        lease: Lease = await self._held
        return lease

    async def _hold(self) -> None:
        self._held.set_result(await self._claim.acquire())
        await self._go_on.wait()
        await self._claim.release()

    async def release(self) -> None:
        """Have it give back by hand what it holds; raises what that raises."""
        assert self._task is not None
        self._go_on.set()
        await self._task


async def held_in_a_task_that_is_over(claim: Acquirable[Any]) -> Lease:
    lease: Lease = await asyncio.create_task(claim.acquire())
    return lease


# --- release() by hand ------------------------------------------------------------------------------------------------


async def test_release_gives_back_one_s_own_and_not_the_oldest(session: Session, name: str) -> None:
    permits = Semaphore(session, name, 2)
    holder = Holder(permits)
    theirs = await holder.acquire()
    own = await permits.acquire()
    await permits.release()
    assert (inside.has_ended(own), inside.has_ended(theirs)) == (True, False)
    await holder.release()
    assert inside.has_ended(theirs)


async def test_release_gives_back_the_oldest_of_one_s_own_first(session: Session, name: str) -> None:
    permits = Semaphore(session, name, 3)
    leases = [await permits.acquire() for _ in range(3)]
    await leases[0].release()
    await permits.release()
    assert [inside.has_ended(lease) for lease in leases] == [True, True, False]
    await permits.release()
    with pytest.raises(RuntimeError):
        await permits.release()


async def test_a_lost_hold_of_one_s_own_does_not_stand_before_the_one_that_is_held(
    client: Redis, session: Session, name: str
) -> None:
    lock = Lock(session, name)
    await lost(client, session, await lock.acquire())
    lease = await lock.acquire()
    await lock.release()
    assert inside.has_ended(lease)
    assert (await lock.statistics()).holders == ()
    with pytest.raises(RuntimeError):
        await lock.release()


async def test_a_lost_hold_of_another_task_fails_only_that_one(client: Redis, session: Session, name: str) -> None:
    lock = Lock(session, name)
    holder = Holder(lock)
    await lost(client, session, await holder.acquire())
    lease = await lock.acquire()
    # It does not know of the loss; the lock is another's by now, and stays it.
    with pytest.raises(LeaseLost):
        await holder.release()
    lease.check()
    await lock.release()
    assert (await lock.statistics()).holders == ()


async def test_a_task_gives_back_what_another_acquired_when_that_is_the_only_one(session: Session, name: str) -> None:
    lock = Lock(session, name)
    lease = await held_in_a_task_that_is_over(lock)
    await lock.release()
    assert inside.has_ended(lease)
    holder = Holder(lock)
    lease = await holder.acquire()
    await asyncio.create_task(lock.release())
    assert inside.has_ended(lease)
    with pytest.raises(RuntimeError, match="is not held"):
        await holder.release()


async def test_a_semaphore_gives_back_the_oldest_of_other_tasks(session: Session, name: str) -> None:
    permits = Semaphore(session, name, 3)
    leases = [await held_in_a_task_that_is_over(permits) for _ in range(3)]
    await permits.release()
    assert [inside.has_ended(lease) for lease in leases] == [True, False, False]


async def test_reads_of_several_other_tasks_are_ambiguous(session: Session, name: str) -> None:
    reading = ReadersWritersLease(session, name).read()
    leases = [await held_in_a_task_that_is_over(reading) for _ in range(2)]
    with pytest.raises(RuntimeError, match="ambiguous"):
        await reading.release()
    for lease in leases:
        lease.check()
    await leases[0].release()
    await reading.release()
    assert inside.has_ended(leases[1])


async def test_a_release_in_one_s_own_body_gives_back_that_and_no_other_s(session: Session, name: str) -> None:
    permits = Semaphore(session, name, 2)
    theirs = await held_in_a_task_that_is_over(permits)
    async with permits as own:
        await permits.release()
        assert inside.has_ended(own)
        theirs.check()
    await permits.release()


async def test_leases_given_back_by_themselves_are_not_kept(session: Session, name: str) -> None:
    permits = Semaphore(session, name, 2)
    first = await permits.acquire()
    for _ in range(5):
        await (await permits.acquire()).release()
    assert inside.held_by_hand(permits) == 1
    await first.release()
    assert inside.held_by_hand(permits) == 0


# --- a condition by hand ----------------------------------------------------------------------------------------------


async def waiting_by_hand(client: Redis, condition: Condition, name: str) -> "asyncio.Task[Lease]":
    """A task that acquired by hand, waits, and gives back by hand what it holds then."""

    async def wait() -> Lease:
        lease = await condition.acquire()
        await condition.wait()
        lease.check()
        await condition.release()
        return lease

    task = asyncio.create_task(wait())
    await until(lambda: client.zcard(f"{{{name}}}:condition:waiters"), lambda count: count == 1)
    return task


async def test_a_suspended_hold_is_passed_over_by_notify_and_release(
    client: Redis, session: Session, name: str
) -> None:
    condition = Condition(session, name)
    waiting = await waiting_by_hand(client, condition, name)
    lease = await condition.acquire()
    await condition.notify()
    await condition.release()
    assert inside.has_ended(lease)
    async with asyncio.timeout(5):
        assert inside.has_ended(await waiting)
    assert (await condition.statistics()).holders == ()


async def test_a_task_that_holds_nothing_cannot_give_back_what_is_suspended(
    client: Redis, session: Session, name: str
) -> None:
    condition = Condition(session, name)
    waiting = await waiting_by_hand(client, condition, name)
    for call in (condition.release, condition.notify, condition.notify_all):
        with pytest.raises(RuntimeError):
            await call()
    async with condition:
        await condition.notify()
    await waiting


async def test_two_wait_by_hand_under_one_object(client: Redis, session: Session, other: Session, name: str) -> None:
    condition, elsewhere = Condition(session, name), Condition(other, name)
    waiting = await waiting_by_hand(client, condition, name)

    async def wait() -> None:
        await condition.acquire()
        await condition.wait()
        await condition.release()

    second = asyncio.create_task(wait())
    await until(lambda: client.zcard(f"{{{name}}}:condition:waiters"), lambda count: count == 2)
    async with elsewhere:
        await elsewhere.notify_all()
    async with asyncio.timeout(5):
        await asyncio.gather(waiting, second)
    assert (await condition.statistics()).holders == ()


async def test_notify_under_a_lost_lock_of_one_s_own_says_so(client: Redis, session: Session, name: str) -> None:
    condition = Condition(session, name)
    await lost(client, session, await condition.acquire())
    with pytest.raises(LeaseLost):
        await condition.notify()
    with pytest.raises(LeaseLost):
        await condition.wait()
    with pytest.raises(LeaseLost):
        await condition.release()
    with pytest.raises(RuntimeError):
        await condition.notify()
