"""What a message leaves in the process is freed at once, and nothing is left to the garbage collector."""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import pytest

from shared.concurrency import Queue

OURS = "shared.concurrency.queues."
Use = Callable[[Queue[int], Queue[int]], Awaitable[None]]


async def put(queue: Queue[int], _: Queue[int]) -> None:
    for _again in range(2):  # the lane holds the last one
        await queue.put(1)


async def put_with_an_id(queue: Queue[int], _: Queue[int]) -> None:
    for _again in range(2):
        await queue.put(1, id="one")


async def put_many(queue: Queue[int], _: Queue[int]) -> None:
    await queue.put_many(range(600))


async def put_until_there_is_room(queue: Queue[int], there: Queue[int]) -> None:
    await queue.resize(1)
    puts = [asyncio.create_task(queue.put(number)) for number in range(3)]
    for _ in puts:
        await (await there.get()).ack()
    await asyncio.gather(*puts)


async def submit(queue: Queue[int], there: Queue[int]) -> None:
    future = await queue.submit(1)
    await (await there.get()).ack(2)
    assert await future == 2


async def submit_twice_under_an_id(queue: Queue[int], there: Queue[int]) -> None:
    futures = [await queue.submit(1, id="one") for _ in range(2)]
    await (await there.get()).ack(2)
    assert await asyncio.gather(*futures) == [2, 2]


@pytest.fixture
def garbage() -> Iterator[Callable[[], Counter[str]]]:
    """What of ours only the garbage collector finds, by type."""
    gc.collect()
    gc.disable()

    def found() -> Counter[str]:
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        kinds = Counter(type(each).__qualname__ for each in gc.garbage if type(each).__module__.startswith(OURS))
        gc.garbage.clear()
        return kinds

    yield found
    gc.set_debug(0)
    gc.enable()


@pytest.mark.parametrize(
    "use", [put, put_with_an_id, put_many, put_until_there_is_room, submit, submit_twice_under_an_id]
)
async def test_no_message_is_left_to_the_garbage_collector(
    queue: Queue[int], there: Queue[int], garbage: Callable[[], Counter[str]], use: Use
) -> None:
    async with asyncio.timeout(30):
        await use(queue, there)
    await asyncio.sleep(0)  # the tasks that were awaited end
    assert garbage() == Counter()
