"""What asyncio promises of Semaphore holds for ours."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.primitives import Primitives, done, settled


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


@pytest.fixture(params=["semaphore", "bounded"])
def make_permits(some: Primitives, request: pytest.FixtureRequest) -> Callable[[int], Any]:
    """Semaphore or BoundedSemaphore; ours has one for both."""
    maker: Callable[[int], Any] = getattr(some, request.param)
    return maker


async def test_permits_go_to_those_who_wait_and_stay_in_use(
    some: Primitives, make_permits: Callable[[int], Any]
) -> None:
    permits = make_permits(3)
    order: list[int] = []

    async def acquire(number: int) -> bool:
        assert await permits.acquire()
        order.append(number)
        return True

    for _ in range(2):
        assert await permits.acquire()
    assert not await done(permits.locked())
    tasks = [asyncio.create_task(acquire(1))]
    assert await tasks[0]
    for number in (2, 3):
        tasks.append(asyncio.create_task(acquire(number)))
        await some.acquiring(permits, number - 1)
    assert await done(permits.locked())
    assert order == [1]
    tasks.append(asyncio.create_task(acquire(4)))
    await done(permits.release())
    await done(permits.release())
    await asyncio.gather(*tasks[:3])
    await some.acquiring(permits, 1)
    assert order == [1, 2, 3]
    assert await done(permits.locked())
    await done(permits.release())
    assert await asyncio.gather(*tasks) == [True] * 4
    for _ in range(3):
        await done(permits.release())
    assert not await done(permits.locked())


async def held(some: Primitives, permits: Any, count: int) -> "list[asyncio.Task[Any]]":
    """So many tasks that wait for a permit, one behind the other."""
    tasks: list[asyncio.Task[Any]] = []
    for _ in range(count):
        tasks.append(asyncio.create_task(permits.acquire()))
        await some.acquiring(permits, len(tasks))
    return tasks


async def test_a_permit_passes_over_those_who_are_cancelled_beside_its_release(
    some: Primitives, make_permits: Callable[[int], Any]
) -> None:
    permits = make_permits(1)
    await permits.acquire()
    tasks = await held(some, permits, 4)
    tasks[0].cancel()
    tasks[1].cancel()
    await done(permits.release())
    assert await tasks[2]
    await asyncio.wait(tasks[:2])
    assert [task.cancelled() for task in tasks[:2]] == [True, True]
    await some.acquiring(permits, 1)
    assert not tasks[3].done()
    assert await done(permits.locked())
    tasks[3].cancel()
    await asyncio.wait({tasks[3]})
    await done(permits.release())
    assert not await done(permits.locked())


async def test_who_is_cancelled_before_its_permit_comes_never_enters(some: Primitives) -> None:
    permits = some.semaphore(1)
    inside, may_leave, entered = asyncio.Event(), asyncio.Event(), False

    async def second() -> None:
        nonlocal entered
        async with permits:
            entered = True

    async def first() -> None:
        async with permits:
            inside.set()
            await may_leave.wait()
        waiting.cancel()

    task = asyncio.create_task(first())
    await inside.wait()
    waiting = asyncio.create_task(second())
    await some.acquiring(permits, 1)
    waiting.cancel()
    may_leave.set()
    await asyncio.wait({task, waiting})
    assert (task.result(), waiting.cancelled(), entered) == (None, True, False)
    async with asyncio.timeout(5):
        await permits.acquire()
    await done(permits.release())


async def test_who_comes_again_waits_behind_those_who_wait(some: Primitives) -> None:
    permits = some.semaphore(1)
    order: list[str] = []

    async def user(name: str) -> None:
        for number in (1, 2):
            await permits.acquire()
            order.append(f"{name}{number}")
            await asyncio.sleep(0)
            await done(permits.release())

    await permits.acquire()
    async with asyncio.TaskGroup() as tasks:
        for count, name in enumerate("abc", 1):
            tasks.create_task(user(name))
            await some.acquiring(permits, count)
        await done(permits.release())
    assert order == ["a1", "b1", "c1", "a2", "b2", "c2"]


async def test_who_releases_and_acquires_again_does_not_overtake(some: Primitives) -> None:
    permits = some.semaphore(1)
    order: list[int] = []

    async def once(number: int) -> None:
        await permits.acquire()
        order.append(number)

    async def twice() -> None:
        await once(2)
        await done(permits.release())
        await once(4)

    await permits.acquire()
    tasks = []
    for count, task in enumerate((once(1), twice(), once(3)), 1):
        tasks.append(asyncio.create_task(task))
        await some.acquiring(permits, count)
    await done(permits.release())
    await tasks[0]
    await done(permits.release())  # the first one's, who has ended
    await tasks[2]
    await some.acquiring(permits, 1)
    await done(permits.release())  # the third one's
    await tasks[1]
    assert order == [1, 2, 3, 4]
    await done(permits.release())


async def test_a_cancelled_one_leaves_two_releases_to_the_two_behind_it(some: Primitives) -> None:
    permits = some.semaphore(2)
    for _ in range(2):
        await permits.acquire()
    tasks = await held(some, permits, 3)
    tasks[0].cancel()
    await asyncio.wait({tasks[0]})
    await done(permits.release())
    await done(permits.release())
    assert all(await asyncio.gather(*tasks[1:]))
    assert tasks[0].cancelled()
    assert await done(permits.locked())
    for _ in range(2):
        await done(permits.release())


async def test_releases_in_a_row_wake_those_who_wait_in_order(some: Primitives) -> None:
    permits = some.semaphore(3)
    order: list[int] = []

    async def acquire(number: int) -> None:
        await permits.acquire()
        order.append(number)

    for _ in range(3):
        await permits.acquire()
    async with asyncio.TaskGroup() as tasks:
        for number in (1, 2, 3):
            tasks.create_task(acquire(number))
            await some.acquiring(permits, number)
        for _ in range(3):
            await done(permits.release())
        assert await done(permits.locked())
    assert order == [1, 2, 3]
    for _ in range(3):
        await done(permits.release())
