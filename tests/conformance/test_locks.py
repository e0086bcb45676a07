"""What asyncio promises of Lock holds for ours."""

import asyncio

import pytest

from tests.conformance.primitives import Primitives, done, settled


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


async def test_a_primitive_itself_cannot_be_awaited_or_entered_without_async(some: Primitives) -> None:
    acquirable = (some.lock(), some.semaphore(1), some.bounded(1), some.condition())
    for thing in (*acquirable, some.event(), some.barrier(2)):
        with pytest.raises(TypeError, match="await"):
            await thing
        with pytest.raises(TypeError, match="context manager"), thing:
            raise AssertionError("it has no such body")
    for thing in acquirable:
        with pytest.raises(TypeError), await thing:
            raise AssertionError("it has no such body")
        assert not await done(thing.locked())


async def test_a_release_by_another_task_lets_the_next_one_in(some: Primitives) -> None:
    lock = some.lock()
    order: list[int] = []

    async def acquire(number: int) -> bool:
        assert await lock.acquire()
        order.append(number)
        return True

    await lock.acquire()
    tasks = []
    for number in (1, 2):
        tasks.append(asyncio.create_task(acquire(number)))
        await some.acquiring(lock, number)
    assert order == []
    await done(lock.release())
    assert await tasks[0]
    assert order == [1]
    tasks.append(asyncio.create_task(acquire(3)))
    await some.acquiring(lock, 2)
    await done(lock.release())  # what a task acquired that has ended
    assert await tasks[1]
    assert order == [1, 2]
    await done(lock.release())
    assert await tasks[2]
    assert order == [1, 2, 3]
    await done(lock.release())
    assert not await done(lock.locked())


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_who_is_cancelled_while_it_is_released_keeps_nobody_out(some: Primitives, cancelled_first: bool) -> None:  # noqa: FBT001
    lock = some.lock()
    acquired: list[str] = []

    async def body(name: str) -> None:
        async with lock:
            acquired.append(name)

    await lock.acquire()
    second = asyncio.create_task(body("second"))
    await some.acquiring(lock, 1)
    third = asyncio.create_task(body("third"))
    await some.acquiring(lock, 2)
    if cancelled_first:
        second.cancel()
    answer = lock.release()  # asyncio's has woken the second one; it has not run yet
    if not cancelled_first:
        second.cancel()
    release = asyncio.create_task(done(answer))
    await asyncio.wait({second, third, release})
    assert second.cancelled()
    assert acquired == ["third"]
    assert not await done(lock.locked())


async def test_a_release_beside_a_cancellation_lets_one_in_and_not_two(some: Primitives) -> None:
    lock = some.lock()
    inside: list[int] = []

    async def acquire(number: int) -> None:
        await lock.acquire()
        inside.append(number)

    await lock.acquire()
    tasks = []
    for number in range(3):
        tasks.append(asyncio.create_task(acquire(number)))
        await some.acquiring(lock, number + 1)
    tasks[0].cancel()
    await done(lock.release())
    await tasks[1]
    await asyncio.wait({tasks[0]})
    await some.acquiring(lock, 1)
    assert tasks[0].cancelled()
    assert inside == [1]
    tasks[2].cancel()
    await asyncio.wait({tasks[2]})
    assert tasks[2].cancelled()
    await done(lock.release())
    assert not await done(lock.locked())


async def test_another_event_loop_is_refused(some: Primitives) -> None:
    for thing in (some.lock(), some.semaphore(1), some.condition()):
        await thing.acquire()
        waiter = asyncio.create_task(thing.acquire())
        await some.acquiring(thing, 1)
        with pytest.raises(RuntimeError, match="loop"):
            await asyncio.to_thread(asyncio.run, thing.acquire())
        await some.acquiring(thing, 1)
        await done(thing.release())
        await waiter
        await done(thing.release())
