"""What a cancelled or timed out call leaves behind: nothing, and nothing missing."""

import asyncio
import contextlib

import pytest

from tests.conformance.subjects import Make, Taken, drained
from tests.instruments.cancellation import MODES, Mode, Outcome, at_every_point, cancelled_at
from tests.instruments.waiting import until


async def test_a_cancelled_get_leaves_the_item_to_the_next(make: Make) -> None:
    async with make(0) as queue:
        first, second = asyncio.create_task(queue.take()), asyncio.create_task(queue.take())
        await queue.waiting_gets(2)
        first.cancel()
        await asyncio.wait({first})
        assert first.cancelled()
        await queue.put(1)
        assert await second == 1


async def test_a_cancelled_put_is_not_in_the_queue(make: Make) -> None:
    async with make(1) as queue:
        await queue.put(1)
        first, second = asyncio.create_task(queue.put(2)), asyncio.create_task(queue.put(3))
        await queue.waiting_puts(2)
        first.cancel()
        await asyncio.wait({first})
        assert first.cancelled()
        assert await queue.putters() == 1
        assert [await queue.take(), await queue.take()] == [1, 3]
        await second
        assert await queue.qsize() == 0


async def test_a_timeout_around_a_wait_is_a_timeout_error_and_changes_nothing(make: Make) -> None:
    async with make(1) as queue:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await queue.get()
        await queue.put(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await queue.put(2)
        assert await queue.putters() == 0
        assert await drained(queue) == [1]


async def test_a_timeout_of_nothing_raises_or_has_its_item(make: Make) -> None:
    async with make(0) as queue:
        await queue.put(1)
        taken = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                taken.append(await queue.take())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await queue.put(2)
        # 2 may have gone in although the caller was told of the timeout; nothing may be there twice or be missing.
        left = [await queue.take() for _ in range(1 - len(taken))]
        assert [*taken, *left] == [1]
        assert await drained(queue) in ([], [2])


async def test_a_put_cancelled_wherever_it_waits_keeps_the_order(make: Make) -> None:
    async def attempt(point: int, mode: Mode) -> Outcome[None]:
        async with make(1) as queue:
            await queue.put(1)
            before = asyncio.create_task(queue.put(2))
            await queue.waiting_puts(1)
            run = asyncio.create_task(cancelled_at(point, mode, queue.put(3)))
            await until(queue.putters, lambda count: count == 2 or run.done())
            after = asyncio.create_task(queue.put(4))
            # asyncio's own would let it overtake those that are being woken. The cancelled one may leave only now.
            await until(queue.putters, lambda count: count == 2 + (not run.done()))
            items = [await queue.take()]
            while items[-1] != 4:
                items.append(await queue.take())
            await asyncio.gather(before, after, run)
            outcome = run.result()
            # Cancelled late it may be in: it had been let in already. What was not cancelled is in.
            assert items in ([1, 2, 4], [1, 2, 3, 4])
            assert outcome.cancelled or items == [1, 2, 3, 4]
            assert outcome.cancelled or not outcome.hit
            return outcome

    assert {mode async for _, mode, _ in at_every_point(attempt)} == set(MODES)


async def test_a_get_cancelled_wherever_it_waits_loses_nothing(make: Make) -> None:
    async def attempt(point: int, mode: Mode) -> Outcome[Taken]:
        async with make(0) as queue:
            run = asyncio.create_task(cancelled_at(point, mode, queue.get()))
            await until(queue.getters, lambda count: count == 1 or run.done())
            await queue.put(1)
            await queue.put(2)
            outcome = await run
            items = []
            if outcome.value is not None:
                items.append(outcome.value.item)
                await outcome.value.done()
            while len(items) < 2:
                items.append(await queue.take())
            assert items == [1, 2]
            assert outcome.cancelled == outcome.hit
            return outcome

    assert {mode async for _, mode, _ in at_every_point(attempt)} == set(MODES)
