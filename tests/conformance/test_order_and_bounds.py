"""Order, bounds and fairness."""

import asyncio
from collections import defaultdict

import pytest

from tests.conformance.subjects import Make, drained


async def test_first_in_first_out(make: Make) -> None:
    async with make(0) as queue:
        for number in range(50):
            await queue.put(number)
        assert await queue.qsize() == 50
        assert [await queue.take() for _ in range(50)] == list(range(50))


async def test_zero_is_no_bound(make: Make) -> None:
    async with make(0) as queue:
        for number in range(300):
            await queue.put_nowait(number)
        assert await queue.qsize() == 300


async def test_put_nowait_raises_when_full_and_get_nowait_when_empty(make: Make) -> None:
    async with make(2) as queue:
        with pytest.raises(asyncio.QueueEmpty):
            await queue.get_nowait()
        await queue.put_nowait(1)
        await queue.put_nowait(2)
        with pytest.raises(asyncio.QueueFull):
            await queue.put_nowait(3)
        assert await drained(queue) == [1, 2]


async def test_get_frees_a_slot_before_the_item_is_done_with(make: Make) -> None:
    async with make(1) as queue:
        await queue.put(1)
        first = await queue.get()
        await queue.put_nowait(2)
        assert await queue.qsize() == 1
        await first.done()
        assert await drained(queue) == [2]


async def test_a_put_waits_while_the_queue_is_full(make: Make) -> None:
    async with make(1) as queue:
        await queue.put(1)
        put = asyncio.create_task(queue.put(2))
        await queue.waiting_puts(1)
        assert not put.done()
        assert await queue.qsize() == 1
        assert await queue.take() == 1
        await put
        assert await drained(queue) == [2]


async def test_a_get_waits_while_the_queue_is_empty(make: Make) -> None:
    async with make(1) as queue:
        get = asyncio.create_task(queue.take())
        await queue.waiting_gets(1)
        assert not get.done()
        await queue.put(1)
        assert await get == 1


async def test_more_waits_on_both_sides_than_the_bound(make: Make) -> None:
    async with make(2) as queue:
        puts = [asyncio.create_task(queue.put(number)) for number in range(20)]
        await queue.waiting_puts(18)
        gets = [asyncio.create_task(queue.take()) for _ in range(25)]
        await asyncio.gather(*puts)
        await queue.waiting_gets(5)
        for number in range(20, 25):
            await queue.put(number)
        assert sorted(await asyncio.gather(*gets)) == list(range(25))
        assert await queue.qsize() == 0


async def test_the_bound_holds_at_every_moment(make: Make) -> None:
    async with make(3) as queue:
        seen = []

        async def watch() -> None:
            while True:
                seen.append(await queue.qsize())
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        puts = [asyncio.create_task(queue.put(number)) for number in range(60)]
        taken = [await queue.take() for _ in range(60)]
        await asyncio.gather(*puts)
        watching.cancel()
        await asyncio.wait({watching})
        assert taken == list(range(60))
        assert 0 < max(seen) <= 3


async def test_each_producers_items_come_in_its_order(make: Make) -> None:
    async with make(4) as queue:

        async def produce(producer: int) -> None:
            for number in range(20):
                await queue.put(producer * 100 + number)

        async def consume() -> list[int]:
            return [await queue.take() for _ in range(20)]

        producing = [asyncio.create_task(produce(producer)) for producer in range(4)]
        consumed = await asyncio.gather(*(consume() for _ in range(4)))
        await asyncio.gather(*producing)
        assert sorted(item for part in consumed for item in part) == sorted(
            producer * 100 + number for producer in range(4) for number in range(20)
        )
        for part in consumed:
            by_producer: dict[int, list[int]] = defaultdict(list)
            for item in part:
                by_producer[item // 100].append(item)
            assert all(items == sorted(items) for items in by_producer.values())


async def test_waiting_puts_go_in_first_come_first_served(make: Make) -> None:
    async with make(1) as queue:
        await queue.put(0)
        puts = []
        for number in range(1, 8):
            puts.append(asyncio.create_task(queue.put(number)))
            await queue.waiting_puts(number)
        assert [await queue.take() for _ in range(8)] == list(range(8))
        await asyncio.gather(*puts)


async def test_waiting_gets_are_served_first_come_first_served(make: Make) -> None:
    async with make(0) as queue:
        gets = []
        for count in range(1, 8):
            gets.append(asyncio.create_task(queue.take()))
            await queue.waiting_gets(count)
        for number in range(7):
            await queue.put(number)
        assert await asyncio.gather(*gets) == list(range(7))
