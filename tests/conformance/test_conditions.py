"""What asyncio promises of Condition holds for ours."""

import asyncio

import pytest

from tests.conformance.primitives import Primitives, done, settled


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
