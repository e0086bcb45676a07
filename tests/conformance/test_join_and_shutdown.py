"""The end: join, and the shutdown that asyncio has from Python 3.13."""

import asyncio
import inspect

import pytest

from shared.concurrency import StaleDelivery
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


@pytest.mark.usefixtures("only_notified")
async def test_join_of_an_unused_queue_returns_at_once(make: Make) -> None:
    async with make(0) as queue:
        async with asyncio.timeout(100):
            await queue.join()
        await queue.put(1)
        join = asyncio.create_task(queue.join())
        held = await queue.get()
        assert not join.done()
        await held.done()
        await join


@pytest.mark.usefixtures("only_notified")
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
        async with asyncio.timeout(100):
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


async def test_join_waits_for_two_workers_who_take_and_end_all(make: Make) -> None:
    async with make(0) as queue:
        for number in range(100):
            await queue.put(number)
        done_with: list[int] = []

        async def work() -> None:
            while True:
                taken = await queue.get()
                done_with.append(taken.item)
                await taken.done()

        workers = [asyncio.create_task(work()) for _ in range(2)]
        await queue.join()
        assert sorted(done_with) == list(range(100))
        await queue.waiting_gets(2)
        for worker in workers:
            worker.cancel()
        await asyncio.wait(workers)
        assert await queue.qsize() == 0


@pytest.mark.differs("ack-for-task-done")
async def test_a_task_done_too_many_is_a_value_error(make: Make) -> None:
    async with make(0) as queue:
        await queue.put(1)
        if queue.is_ours:
            assert not hasattr(queue.real, "task_done")
            delivery = await queue.real.get()
            await delivery.ack()
            with pytest.raises(StaleDelivery):
                await delivery.ack()
            return
        await queue.take()
        with pytest.raises(ValueError, match="task_done"):
            queue.real.task_done()


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


@pytest.mark.usefixtures("only_notified")
@with_shutdown
async def test_a_shutdown_ends_waiting_gets(make: Make) -> None:
    async with make(0) as queue:
        gets = [asyncio.create_task(queue.get()) for _ in range(3)]
        await queue.waiting_gets(3)
        await queue.shutdown()
        async with asyncio.timeout(100):
            results = await asyncio.gather(*gets, return_exceptions=True)
        assert all(isinstance(result, SHUT_DOWN) for result in results)
        await queue.join()
        assert await queue.qsize() == 0


@with_shutdown
async def test_an_immediate_shutdown_leaves_nothing_to_take_and_ends_join(make: Make) -> None:
    async with make(0) as queue:
        for number in range(5):
            await queue.put(number)
        taken = await queue.get()
        join = asyncio.create_task(queue.join())
        await queue.shutdown(immediate=True)
        assert await queue.qsize() == 0
        for put in (queue.put, queue.put_nowait):
            with pytest.raises(SHUT_DOWN):
                await put(5)
        assert not join.done()
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


@with_shutdown
async def test_join_waits_after_a_shutdown_for_what_is_taken(make: Make) -> None:
    async with make(1) as queue:
        await queue.put(1)
        join, put = asyncio.create_task(queue.join()), asyncio.create_task(queue.put(2))
        await queue.waiting_puts(1)
        await queue.shutdown()
        with pytest.raises(SHUT_DOWN):
            await put
        assert await queue.qsize() == 1
        taken = await queue.get()
        assert taken.item == 1
        assert await queue.qsize() == 0
        for call in (queue.put(2), queue.put_nowait(2)):
            with pytest.raises(SHUT_DOWN):
                await call
        assert not join.done()
        await taken.done()
        await join


@with_shutdown
@pytest.mark.differs("get-after-shutdown")
async def test_a_get_raises_after_a_shutdown_though_others_hold_what_they_took(make: Make) -> None:
    async with make(0) as queue:
        await queue.put(1)
        taken = await queue.get()
        await queue.shutdown()
        if not queue.is_ours:
            for get in (queue.get, queue.get_nowait):
                with pytest.raises(SHUT_DOWN):
                    await get()
            await taken.done()
            return
        with pytest.raises(asyncio.QueueEmpty):
            await queue.get_nowait()
        waiting = asyncio.create_task(queue.get())
        await queue.waiting_gets(1)  # it may be given back
        await taken.done()
        with pytest.raises(SHUT_DOWN):
            await waiting


@with_shutdown
@pytest.mark.differs("shutdown-drops-nothing")
async def test_an_immediate_shutdown_drops_what_is_there(make: Make) -> None:
    async with make(0) as queue:
        await queue.put(1)
        await queue.put(2)
        join = asyncio.create_task(queue.join())
        await queue.shutdown(immediate=True)
        async with asyncio.timeout(5):
            await join
        assert await queue.qsize() == 0
        if queue.is_ours:
            assert (await queue.real.statistics()).dead == 2


@with_shutdown
@pytest.mark.differs("round-trip")
async def test_a_shutdown_is_no_coroutine(make: Make) -> None:
    async with make(0) as queue:
        assert inspect.iscoroutinefunction(queue.real.shutdown) is queue.is_ours
