"""What asyncio promises of Barrier holds for ours."""

import asyncio
from typing import Any

import pytest

from tests.conformance.primitives import Primitives, done, value_of
from tests.instruments.waiting import until


async def filled(barrier: Any, count: int) -> "list[asyncio.Task[int]]":
    """So many tasks that wait at a barrier, one behind the other."""
    tasks: list[asyncio.Task[int]] = []
    for _ in range(count):
        tasks.append(asyncio.create_task(barrier.wait()))
        await until(lambda: value_of(barrier, "n_waiting"), lambda waiting: waiting == len(tasks))
    return tasks


async def broken(tasks: "list[asyncio.Task[int]]") -> bool:
    """Whether each of them found the barrier broken."""
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    return all(isinstance(end, asyncio.BrokenBarrierError) for end in ends)


@pytest.mark.parametrize("parties", [0, -4])
async def test_fewer_than_one_party_is_a_value_error(some: Primitives, parties: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        some.barrier(parties)


async def test_a_new_barrier_is_empty_and_whole(some: Primitives) -> None:
    barrier = some.barrier(3)
    assert barrier.parties == 3
    assert await value_of(barrier, "n_waiting") == 0
    assert await value_of(barrier, "broken") is False


async def test_one_party_never_waits(some: Primitives) -> None:
    barrier = some.barrier(1)
    assert [await barrier.wait() for _ in range(3)] == [0, 0, 0]
    async with barrier as number:
        assert number == 0


async def test_all_pass_when_the_last_one_comes_each_with_a_number(some: Primitives) -> None:
    barrier = some.barrier(5)
    tasks = await filled(barrier, 4)
    assert not any(task.done() for task in tasks)
    last = await barrier.wait()
    numbers = [*await asyncio.gather(*tasks), last]
    assert sorted(numbers) == [0, 1, 2, 3, 4]
    assert numbers == sorted(numbers)  # in order of arrival
    assert await value_of(barrier, "n_waiting") == 0
    assert await value_of(barrier, "broken") is False


async def test_it_is_used_again_and_again(some: Primitives) -> None:
    barrier = some.barrier(3)
    rounds: list[int] = []

    async def walker() -> None:
        for number in range(5):
            await barrier.wait()
            rounds.append(number)
            await barrier.wait()

    await asyncio.gather(*(walker() for _ in range(3)))
    assert rounds == sorted(rounds)
    assert len(rounds) == 15


async def test_more_than_the_parties_go_in_portions(some: Primitives) -> None:
    barrier = some.barrier(3)
    tasks = [asyncio.create_task(barrier.wait()) for _ in range(8)]
    await until(lambda: passed(tasks), lambda count: count == 6)
    await until(lambda: value_of(barrier, "n_waiting"), lambda waiting: waiting == 2)
    last = await barrier.wait()
    assert sorted([*await asyncio.gather(*tasks), last]) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


async def passed(tasks: "list[asyncio.Task[int]]") -> int:
    return sum(task.done() for task in tasks)


async def test_it_is_a_context_manager_that_gives_the_number(some: Primitives) -> None:
    barrier = some.barrier(3)
    numbers: list[int] = []

    async def walker() -> None:
        async with barrier as number:
            numbers.append(number)

    await asyncio.gather(*(walker() for _ in range(3)))
    assert sorted(numbers) == [0, 1, 2]


async def test_a_wait_can_be_cancelled_and_breaks_nothing(some: Primitives) -> None:
    barrier = some.barrier(3)
    tasks = await filled(barrier, 2)
    tasks[0].cancel()
    await asyncio.wait({tasks[0]})
    assert tasks[0].cancelled()
    await until(lambda: value_of(barrier, "n_waiting"), lambda waiting: waiting == 1)
    assert await value_of(barrier, "broken") is False
    more = asyncio.create_task(barrier.wait())
    await until(lambda: value_of(barrier, "n_waiting"), lambda waiting: waiting == 2)
    await barrier.wait()
    await asyncio.gather(tasks[1], more)


async def test_a_wait_in_a_timeout_is_a_timeout_error(some: Primitives) -> None:
    barrier = some.barrier(2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await barrier.wait()
    await until(lambda: value_of(barrier, "n_waiting"), lambda waiting: waiting == 0)
    assert await value_of(barrier, "broken") is False


async def test_reset_breaks_it_for_those_who_wait_and_for_nobody_else(some: Primitives) -> None:
    barrier = some.barrier(3)
    tasks = await filled(barrier, 2)
    await done(barrier.reset())
    assert await broken(tasks)
    assert await value_of(barrier, "broken") is False
    assert await value_of(barrier, "n_waiting") == 0
    again = await filled(barrier, 2)
    await barrier.wait()
    await asyncio.gather(*again)


async def test_reset_of_a_barrier_that_nobody_waits_at_does_nothing(some: Primitives) -> None:
    barrier = some.barrier(2)
    await done(barrier.reset())
    (task,) = await filled(barrier, 1)
    await barrier.wait()
    assert await task == 0


async def test_abort_breaks_it_for_all_until_reset(some: Primitives) -> None:
    barrier = some.barrier(3)
    tasks = await filled(barrier, 2)
    await done(barrier.abort())
    assert await broken(tasks)
    assert await value_of(barrier, "broken") is True
    assert await value_of(barrier, "n_waiting") == 0
    for _ in range(2):
        with pytest.raises(asyncio.BrokenBarrierError):
            await barrier.wait()
        with pytest.raises(asyncio.BrokenBarrierError):
            async with barrier:
                raise AssertionError("it is broken")
    await done(barrier.reset())
    assert await value_of(barrier, "broken") is False
    again = await filled(barrier, 2)
    await barrier.wait()
    await asyncio.gather(*again)


async def test_abort_by_one_that_has_passed_leaves_the_others_their_numbers_or_breaks_them(some: Primitives) -> None:
    barrier = some.barrier(3)

    async def walker() -> int:
        number: int = await barrier.wait()
        if number == 0:
            await done(barrier.abort())
        return number

    ends = await asyncio.gather(*(walker() for _ in range(3)), return_exceptions=True)
    assert 0 in ends
    assert all(isinstance(end, int | asyncio.BrokenBarrierError) for end in ends)
    assert await value_of(barrier, "broken") is True


async def test_an_error_in_the_body_breaks_nothing(some: Primitives) -> None:
    barrier = some.barrier(1)
    with pytest.raises(KeyError):
        async with barrier:
            raise KeyError("a test")
    assert await barrier.wait() == 0


async def test_a_broken_barrier_is_a_runtime_error(some: Primitives) -> None:
    barrier = some.barrier(1)
    await done(barrier.abort())
    with pytest.raises(RuntimeError):
        await barrier.wait()
