"""Puts and gets that meet: beside each other, cancelled, and in many tasks."""

import asyncio
import contextlib
import inspect
from typing import Any

import pytest

import shared.concurrency
from shared.concurrency import Delivery
from tests.conformance.subjects import Make, Subject, Taken, drained
from tests.instruments.cancellation import Mode, Outcome, at_every_point, cancelled_at


@pytest.mark.differs("get-returns-a-delivery")
async def test_get_returns_the_item(make: Make) -> None:
    async with make(0) as queue:
        await queue.put(1)
        if queue.is_ours:
            delivery = await queue.real.get()
            assert isinstance(delivery, Delivery)
            assert delivery.item == 1
            await delivery.ack()
        else:
            assert await queue.real.get() == 1
            queue.real.task_done()
        await queue.join()


@pytest.mark.differs("round-trip")
async def test_what_does_not_wait_is_no_coroutine(make: Make) -> None:
    async with make(0) as queue:
        for word in ("qsize", "put_nowait", "get_nowait"):
            assert inspect.iscoroutinefunction(getattr(queue.real, word)) is queue.is_ours


@pytest.mark.differs("no-empty-or-full")
async def test_a_queue_knows_whether_it_is_empty_or_full(make: Make) -> None:
    async with make(1) as queue:
        if queue.is_ours:
            assert not hasattr(queue.real, "empty")
            assert not hasattr(queue.real, "full")
            return
        assert queue.real.empty()
        assert not queue.real.full()
        await queue.put(1)
        assert not queue.real.empty()
        assert queue.real.full()


@pytest.mark.differs("maxsize")
async def test_maxsize_is_an_attribute(make: Make) -> None:
    async with make(2) as queue:
        assert hasattr(queue.real, "maxsize") is not queue.is_ours


@pytest.mark.differs("maxsize")
@pytest.mark.parametrize("maxsize", [-1, 1.3])
async def test_a_maxsize_may_be_negative_or_a_float(make: Make, maxsize: Any) -> None:
    """A negative one is no bound, and so many fit into a float that it is reached."""
    opening = make(maxsize)
    async with contextlib.AsyncExitStack() as stack:
        opened = await stack.enter_async_context(make(0))
        if opened.is_ours:
            with pytest.raises(ValueError, match="maxsize"):
                await stack.enter_async_context(opening)
            return
        queue = await stack.enter_async_context(opening)
        for number in range(2):
            await queue.put_nowait(number)
        assert queue.real.full() is (maxsize > 0)


@pytest.mark.differs("no-lifo-or-priority")
@pytest.mark.parametrize("word", ["LifoQueue", "PriorityQueue"])
def test_there_are_queues_of_another_order(word: str) -> None:
    ours = shared.concurrency
    assert (hasattr(asyncio, word), hasattr(ours, word)) == (True, False)


@pytest.mark.differs("by-name")
async def test_two_queues_share_nothing(make: Make) -> None:
    async with make(0) as queue:
        await queue.put(1)
        assert await queue.size_of_another() == queue.is_ours
        await drained(queue)


async def test_each_get_finds_the_item_of_a_put_that_waits(make: Make) -> None:
    async with make(1) as queue:
        puts = [asyncio.create_task(queue.put(number)) for number in (1, 2)]
        assert [await queue.take(), await queue.take()] == [1, 2]
        await asyncio.gather(*puts)
        assert await queue.qsize() == 0


async def test_a_producer_and_a_consumer_pass_each_item_through_a_queue_of_one(make: Make) -> None:
    taken: list[int] = []

    async def consume(queue: Subject) -> None:
        taken.extend([await queue.take() for _ in range(5)])

    async def produce(queue: Subject) -> None:
        for number in range(5):
            await queue.put(number)

    async with make(1) as queue:
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            tasks.create_task(produce(queue))
            tasks.create_task(consume(queue))
        assert taken == list(range(5))


async def test_a_get_that_times_out_waits_no_more(make: Make) -> None:
    async with make(5) as queue:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 0.02)
        assert await queue.getters() == 0
        await queue.put(1)
        assert await drained(queue) == [1]


async def test_a_get_cancelled_beside_its_put_leaves_the_first_item_first(make: Make) -> None:
    async with make(0) as queue:
        get = asyncio.create_task(queue.get())
        await queue.waiting_gets(1)
        puts = [asyncio.create_task(queue.put(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        get.cancel()
        await asyncio.wait({get, *puts})
        if not get.cancelled():
            await get.result().done()
            assert get.result().item == 1
            assert await drained(queue) == [2]
            return
        assert [await queue.take(), await queue.take()] == [1, 2]


async def test_of_several_gets_one_is_cancelled_beside_the_puts_and_nothing_is_lost(make: Make) -> None:
    async with make(0) as queue:
        gets: list[asyncio.Task[Taken]] = []
        for count in (1, 2, 3):
            gets.append(asyncio.create_task(queue.get()))
            await queue.waiting_gets(count)
        puts = [asyncio.create_task(queue.put(number)) for number in (1, 2)]
        gets[0].cancel()
        await asyncio.wait({gets[0], *puts})
        assert gets[0].cancelled()
        taken = await asyncio.gather(*gets[1:])
        assert {each.item for each in taken} == {1, 2}  # in which order who waits gets them is not said
        for each in taken:
            await each.done()
        assert await queue.qsize() == 0


async def test_a_put_cancelled_beside_the_get_that_makes_room_is_in_once_or_not_at_all(make: Make) -> None:
    async with make(1) as queue:
        await queue.put(1)
        put = asyncio.create_task(queue.put(2))
        await queue.waiting_puts(1)
        get = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        put.cancel()
        await asyncio.wait({put, get})
        assert get.result() == 1
        if put.cancelled() and not await queue.qsize():
            await queue.put(2)
        assert await drained(queue) == [2]


@pytest.mark.differs("let-in-already")
async def test_a_put_cancelled_after_room_was_made_for_it_is_not_in(make: Make) -> None:
    seen: list[tuple[bool, list[int]]] = []

    async def attempt(point: int, mode: Mode) -> Outcome[None]:
        async with make(1) as queue:
            await queue.put(1)
            put = asyncio.create_task(cancelled_at(point, mode, queue.put(2)))
            await queue.waiting_puts(1)
            assert await queue.take() == 1
            outcome = await put
            seen.append((outcome.cancelled, await drained(queue)))
            return outcome

    async with make(1) as queue:
        is_ours = queue.is_ours
    assert [outcome.hit async for _, _, outcome in at_every_point(attempt, ("late",))]
    assert ((True, [2]) in seen) is is_ours
    assert ((True, []) in seen) is not is_ours


async def test_a_put_that_waits_behind_others_can_be_cancelled(make: Make) -> None:
    async with make(1) as queue:
        puts: list[asyncio.Task[None]] = [asyncio.create_task(queue.put(1))]
        await puts[0]
        for number in (2, 3):
            puts.append(asyncio.create_task(queue.put(number)))
            await queue.waiting_puts(number - 1)
        puts[2].cancel()
        await asyncio.wait({puts[2]})
        assert puts[2].cancelled()
        assert not puts[1].done()
        assert [await queue.take(), await queue.take()] == [1, 2]
        await puts[1]
        assert await queue.qsize() == 0


async def test_who_takes_all_that_is_there_lets_all_that_wait_in(make: Make) -> None:
    async with make(2) as queue:
        puts = []
        for number in range(4):
            puts.append(asyncio.create_task(queue.put(number)))
            await queue.waiting_puts(max(0, number - 1))
        for _ in range(await queue.qsize()):
            taken = await queue.get_nowait()
            await taken.done()
        async with asyncio.timeout(5):
            await asyncio.gather(*puts)
        assert await drained(queue) == [2, 3]
