"""What asyncio promises of Condition holds for ours."""

import asyncio
import inspect
import sys
from typing import Any

import pytest

from tests.conformance.primitives import Primitives, done, settled
from tests.instruments.waiting import until


async def test_wait_gives_the_lock_up_and_holds_it_again(some: Primitives) -> None:
    condition = some.condition()
    waiting, woken = asyncio.Event(), asyncio.Event()

    async def waiter() -> None:
        async with condition:
            waiting.set()
            await condition.wait()
            assert await done(condition.locked())
            woken.set()

    task = asyncio.create_task(waiter())
    await waiting.wait()
    async with condition:  # it has given it up
        await done(condition.notify())
        assert not woken.is_set()
    await task
    assert not await done(condition.locked())


async def test_notify_wakes_so_many_in_order(some: Primitives) -> None:
    condition = some.condition()
    woken: list[int] = []

    async def waiter(number: int) -> None:
        async with condition:
            await condition.wait()
            woken.append(number)

    tasks = []
    for number in range(4):
        tasks.append(asyncio.create_task(waiter(number)))
        await some.waiting(condition, number + 1)
    async with condition:
        await done(condition.notify(2))
    await asyncio.wait(tasks[:2])
    await settled(*tasks[2:])
    assert woken == [0, 1]
    async with condition:
        await done(condition.notify_all())
    await asyncio.gather(*tasks)
    assert woken == [0, 1, 2, 3]


async def test_notify_without_anybody_waiting_is_forgotten(some: Primitives) -> None:
    condition = some.condition()
    async with condition:
        await done(condition.notify())

    async def waiter() -> None:
        async with condition:
            await condition.wait()

    task = asyncio.create_task(waiter())
    await settled(task)
    assert not task.done()
    async with condition:
        await done(condition.notify_all())
    await task


async def test_wait_for_waits_for_its_predicate_and_returns_its_value(some: Primitives) -> None:
    condition = some.condition()
    found: list[str] = []

    async def waiter() -> list[str]:
        async with condition:
            answer: list[str] = await condition.wait_for(lambda: found)
            return answer

    task = asyncio.create_task(waiter())
    await settled(task)
    async with condition:
        await done(condition.notify_all())
    await settled(task)
    assert not task.done()
    async with condition:
        found.append("it")
        await done(condition.notify_all())
    assert await task == ["it"]


async def test_a_cancelled_wait_holds_the_lock_when_it_raises(some: Primitives) -> None:
    condition = some.condition()
    held: list[bool] = []

    async def waiter() -> None:
        async with condition:
            try:
                await condition.wait()
            finally:
                held.append(await done(condition.locked()))

    task = asyncio.create_task(waiter())
    await settled(task)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert held == [True]
    assert not await done(condition.locked())


async def test_wait_and_notify_without_the_lock_are_runtime_errors(some: Primitives) -> None:
    condition = some.condition()
    with pytest.raises(RuntimeError):
        await condition.wait()
    with pytest.raises(RuntimeError):
        await done(condition.notify())
    with pytest.raises(RuntimeError):
        await done(condition.notify_all())


@pytest.mark.differs("round-trip")
async def test_a_notification_is_no_coroutine(some: Primitives) -> None:
    condition = some.condition()
    for word in ("notify", "notify_all"):
        assert inspect.iscoroutinefunction(getattr(condition, word)) is some.are_ours
    assert not await done(condition.locked())
    async with condition:
        assert await done(condition.locked())
        assert await done(condition.notify()) is None
    assert not await done(condition.locked())


@pytest.mark.differs("condition-lock")
async def test_a_condition_shares_the_lock_that_it_was_given(some: Primitives) -> None:
    condition, lock = some.condition(), some.lock()
    if some.are_ours:
        with pytest.raises(TypeError):
            type(condition)(lock)
        lock = some.lock_of_condition()
    else:
        condition = asyncio.Condition(lock)
    for holds in (condition, lock):
        async with holds:
            assert await done(lock.locked())
            assert await done(condition.locked())
        assert not await done(lock.locked())
        assert not await done(condition.locked())


async def test_who_notifies_by_hand_hands_the_lock_on_when_it_is_released(some: Primitives) -> None:
    condition = some.condition()
    order: list[int] = []

    async def wait(number: int) -> bool:
        await condition.acquire()
        if await condition.wait():
            order.append(number)
        return True

    tasks = []
    for number in (1, 2, 3):
        tasks.append(asyncio.create_task(wait(number)))
        await some.waiting(condition, number)
    await until(lambda: done(condition.locked()), lambda locked: not locked)
    assert await condition.acquire()
    await done(condition.notify())
    await settled(*tasks)
    assert order == []
    assert await done(condition.locked())
    await done(condition.release())
    assert await tasks[0]
    await done(condition.notify(2))  # under the lock of the first one, who has ended
    await settled(*tasks[1:])
    assert order == [1]
    await done(condition.release())
    assert await tasks[1]
    await done(condition.release())
    assert await tasks[2]
    assert order == [1, 2, 3]
    assert await done(condition.locked())
    await done(condition.release())
    assert not await done(condition.locked())


async def test_more_notifications_than_waiters_wake_all_in_order(some: Primitives) -> None:
    condition = some.condition()
    woken: list[int] = []

    async def waiter(number: int) -> None:
        async with condition:
            await condition.wait()
            woken.append(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(waiter(number))
            await some.waiting(condition, number + 1)
        async with condition:
            await done(condition.notify(1))
            await done(condition.notify(2048))
    assert woken == [0, 1, 2]


@pytest.mark.differs("wait-for-needs-the-lock")
async def test_wait_for_needs_no_lock_when_its_predicate_is_true(some: Primitives) -> None:
    condition = some.condition()
    if some.are_ours:
        with pytest.raises(RuntimeError):
            await condition.wait_for(lambda: [1])
    else:
        assert await condition.wait_for(lambda: [1]) == [1]
    with pytest.raises(RuntimeError):
        await condition.wait_for(lambda: False)


@pytest.mark.differs("predicate")
async def test_a_predicate_is_no_coroutine_function(some: Primitives) -> None:
    condition = some.condition()

    async def is_there() -> list[int]:
        return [1]

    async with condition:
        found: Any = await condition.wait_for(is_there)
    if some.are_ours:
        assert found == [1]
    else:
        assert await found == [1]  # a coroutine is true, whatever it comes to


async def test_a_timeout_around_a_wait_raises_in_the_body_that_holds_the_lock(some: Primitives) -> None:
    condition = some.condition()
    async with condition:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await condition.wait()
        assert await done(condition.locked())


@pytest.mark.differs("wait-in-wait_for")
async def test_a_wait_in_wait_for_is_a_timeout_error(some: Primitives) -> None:
    condition = some.condition()
    refused = some.are_ours and sys.version_info < (3, 12)  # where wait_for waits in a task of its own
    async with condition:
        with pytest.raises(RuntimeError if refused else TimeoutError, match=r"asyncio\.timeout" if refused else None):
            await asyncio.wait_for(condition.wait(), 0.05)
        assert await done(condition.locked())
    async with condition:
        await done(condition.notify())
