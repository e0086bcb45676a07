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
