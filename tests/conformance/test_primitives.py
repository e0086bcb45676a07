"""What asyncio promises of Lock, Semaphore, Event and Condition holds for ours."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.conformance.primitives import KINDS, Primitives, done, opened


@pytest.fixture(params=KINDS)
async def some(request: pytest.FixtureRequest, url: str, name: str) -> AsyncIterator[Primitives]:
    async with opened(request.param, url, name) as primitives:
        yield primitives


async def settled(*tasks: "asyncio.Task[object]") -> None:
    """Let the others go on for a while; nothing is to happen, so there is nothing to wait for."""
    await asyncio.wait(tasks, timeout=0.1)


# --- Lock
# ---------------------------------------------------------------------------------------------------------------


async def test_a_lock_keeps_others_out(some: Primitives) -> None:
    lock = some.lock()
    inside = most = 0

    async def body() -> None:
        nonlocal inside, most
        async with lock:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(body() for _ in range(20)))
    assert most == 1
    assert not await done(lock.locked())


async def test_locked_says_whether_somebody_holds_it(some: Primitives) -> None:
    lock = some.lock()
    assert not await done(lock.locked())
    await lock.acquire()
    assert await done(lock.locked())
    await done(lock.release())
    assert not await done(lock.locked())


async def test_a_lock_is_first_come_first_served(some: Primitives) -> None:
    lock = some.lock()
    order: list[int] = []

    async def body(number: int) -> None:
        async with lock:
            order.append(number)

    await lock.acquire()
    tasks = []
    for number in range(5):
        tasks.append(asyncio.create_task(body(number)))
        await asyncio.sleep(0)
    await settled(*tasks)
    await done(lock.release())
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_releasing_what_is_not_held_is_a_runtime_error(some: Primitives) -> None:
    lock = some.lock()
    with pytest.raises(RuntimeError):
        await done(lock.release())
    async with lock:
        pass
    with pytest.raises(RuntimeError):
        await done(lock.release())


async def test_a_lock_is_given_back_when_the_body_raises(some: Primitives) -> None:
    lock = some.lock()
    with pytest.raises(KeyError):
        async with lock:
            raise KeyError("a test")
    assert not await done(lock.locked())


async def test_a_cancelled_acquire_leaves_the_line(some: Primitives) -> None:
    lock = some.lock()
    await lock.acquire()
    first, second = (asyncio.create_task(lock.acquire()) for _ in range(2))
    await settled(first, second)
    first.cancel()
    await asyncio.wait({first})
    assert first.cancelled()
    assert not second.done()
    await done(lock.release())
    await second
    await done(lock.release())
    assert not await done(lock.locked())


async def test_an_acquire_in_a_timeout_is_a_timeout_error(some: Primitives) -> None:
    lock = some.lock()
    async with lock:
        other = asyncio.create_task(lock.acquire())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await other


async def test_a_body_that_is_cancelled_gives_the_lock_back(some: Primitives) -> None:
    lock = some.lock()
    inside = asyncio.Event()

    async def body() -> None:
        async with lock:
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await inside.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    async with lock:
        pass


# --- Semaphore
# ----------------------------------------------------------------------------------------------------------


async def test_a_semaphore_lets_so_many_in(some: Primitives) -> None:
    permits = some.semaphore(3)
    inside = most = 0

    async def user() -> None:
        nonlocal inside, most
        async with permits:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.005)
            inside -= 1

    await asyncio.gather(*(user() for _ in range(10)))
    assert most == 3


async def test_one_task_may_take_several_permits(some: Primitives) -> None:
    permits = some.semaphore(3)
    async with permits, permits:
        assert not await done(permits.locked())
        async with permits:
            assert await done(permits.locked())


async def test_a_semaphore_is_first_come_first_served(some: Primitives) -> None:
    permits = some.semaphore(2)
    order: list[int] = []

    async def user(number: int) -> None:
        async with permits:
            order.append(number)

    for _ in range(2):
        await permits.acquire()
    tasks = []
    for number in range(4):
        tasks.append(asyncio.create_task(user(number)))
        await asyncio.sleep(0)
    await settled(*tasks)
    await done(permits.release())
    await done(permits.release())
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]


@pytest.mark.parametrize("limit", [-1, -10])
async def test_a_negative_number_of_permits_is_a_value_error(some: Primitives, limit: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        some.semaphore(limit)


# --- Event
# --------------------------------------------------------------------------------------------------------------


async def test_an_event_is_clear_at_first_and_stays_set(some: Primitives) -> None:
    event = some.event()
    assert not await done(event.is_set())
    await done(event.set())
    await done(event.set())
    assert await done(event.is_set())
    assert await event.wait() is True
    await done(event.clear())
    assert not await done(event.is_set())
    await done(event.clear())


async def test_set_wakes_all_who_wait(some: Primitives) -> None:
    event = some.event()
    waits = [asyncio.create_task(event.wait()) for _ in range(5)]
    await settled(*waits)
    assert not any(wait.done() for wait in waits)
    await done(event.set())
    assert await asyncio.gather(*waits) == [True] * 5


async def test_who_waits_is_woken_though_the_event_is_cleared_at_once(some: Primitives) -> None:
    event = some.event()
    wait = asyncio.create_task(event.wait())
    await settled(wait)
    await done(event.set())
    await done(event.clear())
    assert await wait is True
    later = asyncio.create_task(event.wait())
    await settled(later)
    assert not later.done()
    later.cancel()


async def test_a_wait_can_be_cancelled(some: Primitives) -> None:
    event = some.event()
    wait = asyncio.create_task(event.wait())
    await settled(wait)
    wait.cancel()
    await asyncio.wait({wait})
    assert wait.cancelled()
    await done(event.set())
    assert await event.wait()


# --- Condition
# ----------------------------------------------------------------------------------------------------------


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
        await settled(tasks[-1])
    async with condition:
        await done(condition.notify(2))
    await asyncio.wait(tasks[:2])
    await settled(*tasks[2:])
    assert sorted(woken) == [0, 1]
    async with condition:
        await done(condition.notify_all())
    await asyncio.gather(*tasks)
    assert sorted(woken) == [0, 1, 2, 3]


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
