"""A consumer that can take nothing rests: its event loop turns a few times a second, not as fast as it can."""

import asyncio
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Delivery, Queue, Session
from tests.instruments import inside
from tests.instruments.workers import working

TTL = 0.3
"""With so short a time to live the lane looks again three times and more while one watches."""
WATCHED = 0.6
MOST_TURNS = 150
"""Of a loop that rests: the ticker, the watch of time limits, the looks. One that spins turns thousands of times."""


@pytest.fixture
async def session(url: str) -> AsyncIterator[Session]:
    async with Session.open(url, ttl=TTL) as session:
        yield session


@pytest.fixture
async def turns(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Awaitable[int]]:
    """Counts how often the loop turns in the time that one watches."""
    selector: selectors.BaseSelector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    select, count = selector.select, 0

    def counting(timeout: float | None = None) -> Any:
        nonlocal count
        count += 1
        return select(timeout)

    monkeypatch.setattr(selector, "select", counting)

    async def watch() -> int:
        before = count
        await asyncio.sleep(WATCHED)
        return count - before

    return watch


@pytest.mark.parametrize("concurrency", [1, 5])
async def test_workers_that_are_busy_for_long_after_quick_work_rest(
    queue: Queue[int], other: Session, name: str, turns: Callable[[], Awaitable[int]], concurrency: int
) -> None:
    # It burnt a whole core until one of them ended: a timer for a look whose time had passed, again and again.
    started, finish = asyncio.Semaphore(0), asyncio.Event()
    putting = Queue(other, name, int)

    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item:
            started.release()
            await finish.wait()

    async with working(queue, handle, concurrency=concurrency):
        for _ in range(5):
            await putting.put_many([0] * 50)
            await asyncio.sleep(0.02)
        await putting.put_many([1] * concurrency)
        for _ in range(concurrency):
            await started.acquire()
        assert await turns() < MOST_TURNS
        # What comes meanwhile wakes it, and it wants nothing.
        await putting.put_many([1] * 3)
        assert await turns() < MOST_TURNS
        finish.set()
        await queue.join()


async def test_workers_of_a_paused_queue_rest(queue: Queue[int], turns: Callable[[], Awaitable[int]]) -> None:
    async def handle(_: Delivery[int]) -> None: ...

    await queue.pause()
    await queue.put_many(range(10))
    async with working(queue, handle):
        assert await turns() < MOST_TURNS
        await queue.resume()
        await queue.join()


async def test_workers_that_may_not_take_a_second_suspect_rest(
    url: str, queue: Queue[int], client: Redis, name: str, *, turns: Callable[[], Awaitable[int]]
) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    async def handle(_: Delivery[int]) -> None:
        started.set()
        await finish.wait()

    await queue.put_many([1, 2])
    for _ in range(2):
        async with Session.open(url) as dying:
            held = [await Queue(dying, name, int).get() for _ in range(2)]
            await inside.crash(client, inside.session_of(queue), name, dying)
            assert all(map(inside.is_lost, held))
    async with working(queue, handle):
        await started.wait()
        assert await turns() < MOST_TURNS
        assert (await queue.statistics()).leased == 1
        finish.set()
        await queue.join()
