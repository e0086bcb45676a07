"""The end: join, and the shutdown that asyncio has from Python 3.13."""

import asyncio

import pytest

from tests.conformance.subjects import KINDS, SHUT_DOWN, Make

with_shutdown = pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            kind,
            marks=pytest.mark.skipif(
                kind == "asyncio" and not hasattr(asyncio, "QueueShutDown"),
                reason="asyncio.Queue.shutdown came with Python 3.13; ours is held against what it does there",
            ),
        )
        for kind in KINDS
    ],
    indirect=True,
)


async def test_join_of_an_unused_queue_returns_at_once(make: Make) -> None:
    async with make(0) as queue:
        async with asyncio.timeout(0.9):
            await queue.join()
        await queue.put(1)
        join = asyncio.create_task(queue.join())
        held = await queue.get()
        assert not join.done()
        await held.done()
        await join


async def test_join_waits_until_all_is_done_with(make: Make) -> None:
    async with make(0) as queue:
        await queue.put(1)
        await queue.put(2)
        joins = [asyncio.create_task(queue.join()) for _ in range(3)]
        first, second = await queue.get(), await queue.get()
        await first.done()
        assert await queue.qsize() == 0
        assert not any(join.done() for join in joins)
        await second.done()
        async with asyncio.timeout(0.9):
            await asyncio.gather(*joins)
        await queue.join()


async def test_join_waits_for_what_is_put_meanwhile(make: Make) -> None:
    async with make(0) as queue:
        await queue.put(1)
        join = asyncio.create_task(queue.join())
        first = await queue.get()
        await queue.put(2)
        await first.done()
        second = await queue.get()
        assert not join.done()
        await second.done()
        await join


async def test_join_can_be_cancelled(make: Make) -> None:
    async with make(0) as queue:
        await queue.put(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await queue.join()
        assert await queue.take() == 1
        await queue.join()


@with_shutdown
async def test_after_a_shutdown_puts_raise_and_what_is_there_can_be_taken(make: Make) -> None:
    async with make(2) as queue:
        await queue.put(1)
        await queue.put(2)
        await queue.shutdown()
        for put in (queue.put, queue.put_nowait):
            with pytest.raises(SHUT_DOWN):
                await put(3)
        assert await queue.qsize() == 2
        assert [await queue.take(), await queue.take()] == [1, 2]
        for get in (queue.get, queue.get_nowait):
            with pytest.raises(SHUT_DOWN):
                await get()
        await queue.join()


@with_shutdown
async def test_a_shutdown_ends_waiting_puts(make: Make) -> None:
    async with make(1) as queue:
        await queue.put(1)
        puts = [asyncio.create_task(queue.put(number)) for number in (2, 3)]
        await queue.waiting_puts(2)
        await queue.shutdown()
        results = await asyncio.gather(*puts, return_exceptions=True)
        assert [type(result).__mro__.count(SHUT_DOWN) for result in results] == [1, 1]
        assert await queue.take() == 1
        with pytest.raises(SHUT_DOWN):
            await queue.get_nowait()


@with_shutdown
async def test_a_shutdown_ends_waiting_gets(make: Make) -> None:
    async with make(0) as queue:
        gets = [asyncio.create_task(queue.get()) for _ in range(3)]
        await queue.waiting_gets(3)
        await queue.shutdown()
        async with asyncio.timeout(0.9):
            results = await asyncio.gather(*gets, return_exceptions=True)
        assert all(isinstance(result, SHUT_DOWN) for result in results)


@with_shutdown
async def test_an_immediate_shutdown_leaves_nothing_to_take_and_ends_join(make: Make) -> None:
    async with make(0) as queue:
        for number in range(5):
            await queue.put(number)
        taken = await queue.get()
        join = asyncio.create_task(queue.join())
        await queue.shutdown(immediate=True)
        assert await queue.qsize() == 0
        await taken.done()
        for get in (queue.get, queue.get_nowait):
            with pytest.raises(SHUT_DOWN):
                await get()
        await join


@with_shutdown
async def test_a_second_shutdown_changes_nothing(make: Make) -> None:
    async with make(0) as queue:
        await queue.put(1)
        await queue.shutdown()
        await queue.shutdown()
        assert await queue.take() == 1
        await queue.shutdown(immediate=True)
        with pytest.raises(SHUT_DOWN):
            await queue.get()
