"""Answers submissions, and looks at what the server keeps of them."""

from redis.asyncio import Redis

from shared.concurrency import (
    Delivery,
)
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments.waiting import until


async def double(delivery: Delivery[int]) -> int:
    return 2 * delivery.item


async def kept(client: Redis, name: str) -> int:
    """How many outcomes lie on the server."""
    keys = queue_keys(name)
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.hlen(keys["results"].decode())
        pipeline.zcard(keys["results_due"])
        count, due = await pipeline.execute()
    assert count == due
    return int(count)


async def given_up(client: Redis, name: str, count: int) -> None:
    """Wait until the server knows of so many."""

    async def look() -> int:
        marked: int = await client.zcard(queue_keys(name)["marks"])
        return marked

    await until(look, lambda marked: marked == count)
