"""What asyncio promises of a Barrier that is used in several rounds, and is reset or aborted between them."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.conformance.primitives import Primitives, done, value_of

PARTIES = 5


async def all_of(walker: Callable[[], Coroutine[Any, Any, object]], count: int = PARTIES) -> list[Any]:
    """Run so many walkers to their end; what each returned or raised."""
    tasks = [asyncio.create_task(walker()) for _ in range(count)]
    async with asyncio.timeout(40):
        return await asyncio.gather(*tasks, return_exceptions=True)


async def is_whole(barrier: Any) -> None:
    """Nobody waits at it, and it is not broken."""
    assert await value_of(barrier, "n_waiting") == 0
    assert await value_of(barrier, "broken") is False


@pytest.mark.differs("round-trip")
async def test_what_a_barrier_knows_are_properties(some: Primitives) -> None:
    barrier = some.barrier(2)
    assert isinstance(inspect.getattr_static(type(barrier), "parties"), property)
    for word in ("n_waiting", "broken"):
        assert isinstance(inspect.getattr_static(type(barrier), word), property) is not some.are_ours


async def test_each_round_gives_each_party_a_number(some: Primitives) -> None:
    barrier = some.barrier(PARTIES)
    outer: list[int] = []

    async def walker() -> int:
        async with barrier as number:
            outer.append(number)
            async with barrier as inner:
                assert isinstance(inner, int)
                return inner

    assert sorted(await all_of(walker)) == list(range(PARTIES))
    assert sorted(outer) == list(range(PARTIES))
    await is_whole(barrier)


async def test_one_party_passes_twice_in_a_row(some: Primitives) -> None:
    barrier = some.barrier(1)
    assert [*await asyncio.gather(barrier.wait(), barrier.wait())] == [0, 0]
    await is_whole(barrier)


async def test_who_comes_again_waits_for_the_others(some: Primitives) -> None:
    barrier = some.barrier(PARTIES)
    others = asyncio.Barrier(PARTIES - 2)
    first_two: list[int] = []

    async def walker() -> None:
        number = await barrier.wait()
        if len(first_two) < 2:
            first_two.append(number)
        else:
            await others.wait()
        await barrier.wait()

    assert await all_of(walker) == [None] * PARTIES
    await is_whole(barrier)


async def test_those_whom_a_reset_broke_may_wait_again(some: Primitives) -> None:
    barrier = some.barrier(PARTIES)
    broken: list[bool] = []

    async def walker() -> int:
        try:
            await barrier.wait()
        except asyncio.BrokenBarrierError:
            broken.append(True)
        number: int = await barrier.wait()
        return number

    tasks = [asyncio.create_task(walker()) for _ in range(PARTIES - 1)]
    await some.at_barrier(barrier, PARTIES - 1)
    await done(barrier.reset())
    last = await barrier.wait()
    assert sorted([last, *await asyncio.gather(*tasks)]) == list(range(PARTIES))
    assert broken == [True] * (PARTIES - 1)
    await is_whole(barrier)


@pytest.mark.differs("passed-is-passed")
@pytest.mark.parametrize("word", ["reset", "abort"])
async def test_one_that_has_passed_breaks_those_who_have_not_gone_on(some: Primitives, word: str) -> None:
    barrier = some.barrier(PARTIES)
    passed: list[int] = []

    async def walker() -> None:
        passed.append(await barrier.wait())
        if len(passed) == 3:
            await done(getattr(barrier, word)())

    ends = await all_of(walker)
    broken = [end for end in ends if end is not None]
    assert all(isinstance(end, asyncio.BrokenBarrierError) for end in broken)
    assert len(broken) == (0 if some.are_ours else 2)
    assert await value_of(barrier, "n_waiting") == 0
    assert await value_of(barrier, "broken") is (word == "abort")


@pytest.mark.differs("passed-is-passed")
async def test_who_comes_again_before_all_have_gone_on_is_not_broken_by_a_reset(some: Primitives) -> None:
    barrier = some.barrier(PARTIES)
    count = 0
    again: list[bool] = []

    async def walker() -> None:
        nonlocal count
        await barrier.wait()
        count += 1
        if count == PARTIES:
            if some.are_ours:
                await some.at_barrier(barrier, PARTIES - 1)
            await done(barrier.reset())
            return
        try:
            await barrier.wait()
        except asyncio.BrokenBarrierError:
            again.append(False)
        else:
            again.append(True)

    tasks = [asyncio.create_task(walker()) for _ in range(PARTIES)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if not some.are_ours:
        await some.at_barrier(barrier, PARTIES - 1)
        await barrier.wait()
    await asyncio.gather(*tasks)
    assert again == [not some.are_ours] * (PARTIES - 1)
    await is_whole(barrier)


async def test_abort_after_the_last_has_gone_on_breaks_those_who_came_again(some: Primitives) -> None:
    barrier = some.barrier(PARTIES)
    again: list[bool] = []

    async def walker() -> None:
        if await barrier.wait() == 0:
            await some.at_barrier(barrier, PARTIES - 1)
            await done(barrier.abort())
            return
        with pytest.raises(asyncio.BrokenBarrierError):
            await barrier.wait()
        again.append(True)

    assert await all_of(walker) == [None] * PARTIES
    assert again == [True] * (PARTIES - 1)
    assert await value_of(barrier, "broken") is True
    assert await value_of(barrier, "n_waiting") == 0


async def test_an_error_in_a_body_that_aborts_breaks_the_next_round(some: Primitives) -> None:
    barrier = some.barrier(PARTIES)
    broken: list[bool] = []

    async def walker() -> None:
        try:
            async with barrier as number:
                assert number != PARTIES // 2
            await barrier.wait()
        except asyncio.BrokenBarrierError:
            broken.append(True)
        except AssertionError:
            await done(barrier.abort())

    assert await all_of(walker) == [None] * PARTIES
    assert broken == [True] * (PARTIES - 1)
    assert await value_of(barrier, "broken") is True
    assert await value_of(barrier, "n_waiting") == 0


async def test_an_aborted_barrier_that_is_reset_is_as_new(some: Primitives) -> None:
    barrier = some.barrier(PARTIES)
    between = asyncio.Barrier(PARTIES)
    broken: list[bool] = []

    async def walker() -> int:
        try:
            if await barrier.wait() == PARTIES // 2:
                await done(barrier.abort())
            else:
                await barrier.wait()
        except asyncio.BrokenBarrierError:
            broken.append(True)
        # All have left it before it is reset, and none comes before that.
        if await between.wait() == PARTIES // 2:
            await done(barrier.reset())
        await between.wait()
        number: int = await barrier.wait()
        return number

    assert sorted(await all_of(walker)) == list(range(PARTIES))
    assert broken == [True] * (PARTIES - 1)
    await is_whole(barrier)
