"""What asyncio promises of Semaphore holds for ours."""

import asyncio

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
