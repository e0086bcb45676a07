"""Cancels messages, and sees that nothing is left of them."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from shared.concurrency import Cancellation, Queue
from tests.instruments.census import Census, take_census
from tests.instruments.waiting import until


async def at_rest(client: Redis, name: str) -> Census:
    """Nothing of the queue is left, nor a mark."""
    census = await take_census(client, name)
    census.check()
    if (census.unfinished, census.marks) != (0, 0):
        raise AssertionError(f"the queue is not at rest: {census}")
    return census


async def cancelling(queue: Queue[Any], client: Redis, id_: str = "one") -> "asyncio.Task[Cancellation]":
    """Somebody who waits for what becomes of a message that is marked by now, unless it has ended since."""
    task = asyncio.create_task(queue.cancel(id_, timeout=20))

    async def marks() -> list[float]:
        return [when for _, when in await client.zrange(f"{{{queue.name}}}:marks", 0, -1, withscores=True)]

    # A whole number stands for a future that was cancelled.
    await until(marks, lambda found: task.done() or any(when % 1 for when in found))
    return task
