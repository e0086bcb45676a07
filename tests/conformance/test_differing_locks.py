"""Where Lock and Semaphore differ from asyncio's on purpose."""

import asyncio
import contextlib
import inspect

import pytest

from shared.concurrency import Lease, Semaphore
from tests.conformance.primitives import Primitives, done
from tests.instruments.waiting import until


@pytest.mark.differs("returns-a-lease")
async def test_acquire_is_true_and_async_with_gives_nothing(some: Primitives) -> None:
    lock = some.lock()
    got = await lock.acquire()
    assert got
    assert isinstance(got, Lease) is some.are_ours
    await done(lock.release())
    async with lock as held:
        assert await done(lock.locked())
        assert isinstance(held, Lease) is some.are_ours
        assert (held is None) is not some.are_ours


@pytest.mark.differs("round-trip")
async def test_release_and_locked_are_no_coroutines(some: Primitives) -> None:
    for thing in (some.lock(), some.semaphore(1), some.bounded(1), some.condition()):
        assert inspect.iscoroutinefunction(thing.acquire)
        for word in ("release", "locked"):
            assert inspect.iscoroutinefunction(getattr(thing, word)) is some.are_ours


@pytest.mark.differs("by-name")
async def test_two_objects_are_two_locks(some: Primitives) -> None:
    lock, other = some.lock(), some.lock()
    await lock.acquire()
    assert await done(other.locked()) is some.are_ours
    await done(lock.release())


@pytest.mark.differs("handed-over")
async def test_a_lock_that_is_released_is_free_until_who_waits_runs(some: Primitives) -> None:
    lock = some.lock()
    await lock.acquire()
    async with asyncio.TaskGroup() as tasks:
        waiter = tasks.create_task(lock.acquire())
        await some.acquiring(lock, 1)
        await done(lock.release())
        # asyncio's waiter has not run since; ours needs not run to hold it.
        assert await done(lock.locked()) is some.are_ours
        await waiter
    await done(lock.release())


@pytest.mark.differs("waits-for-itself")
async def test_a_lock_inside_its_own_body_waits_for_ever(some: Primitives) -> None:
    for thing in (some.lock(), some.semaphore(1)):
        async with thing:
            with pytest.raises(RuntimeError if some.are_ours else TimeoutError):
                async with asyncio.timeout(0.05):
                    await thing.acquire()
        assert not await done(thing.locked())


@pytest.mark.differs("timeout-of-nothing")
async def test_a_free_lock_is_acquired_within_a_timeout_of_nothing(some: Primitives) -> None:
    lock = some.lock()
    got = False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            got = bool(await lock.acquire())
    assert got is not some.are_ours
    if some.are_ours:
        await some.acquiring(lock, 0)
        await until(lock.locked, lambda locked: not locked)  # it is withdrawn in the background
        assert await lock.acquire_nowait()
    await done(lock.release())


@pytest.mark.parametrize("word", ["semaphore", "bounded"])
@pytest.mark.differs("semaphore-limit")
async def test_a_semaphore_may_have_no_permits_at_first(some: Primitives, word: str) -> None:
    if some.are_ours:
        with pytest.raises(ValueError, match="limit"):
            getattr(some, word)(0)
        return
    assert getattr(some, word)(0).locked()


@pytest.mark.differs("semaphore-limit")
async def test_a_semaphore_has_one_permit_where_nothing_is_said(some: Primitives) -> None:
    if some.are_ours:
        assert inspect.signature(Semaphore).parameters["limit"].default is inspect.Parameter.empty
        return
    permits = asyncio.Semaphore()
    assert await permits.acquire()
    assert permits.locked()


@pytest.mark.differs("release-too-often")
async def test_a_semaphore_grows_when_it_is_released_too_often(some: Primitives) -> None:
    permits = some.semaphore(1)
    if some.are_ours:
        with pytest.raises(RuntimeError):
            await done(permits.release())
    else:
        await done(permits.release())
    await permits.acquire()
    assert await done(permits.locked()) is some.are_ours
    await done(permits.release())


@pytest.mark.differs("release-too-often")
async def test_a_bounded_semaphore_that_is_released_too_often_is_a_value_error(some: Primitives) -> None:
    permits = some.bounded(1)
    for _ in range(2):
        with pytest.raises(RuntimeError if some.are_ours else ValueError):
            await done(permits.release())
        await permits.acquire()
        assert await done(permits.locked())
        await done(permits.release())
