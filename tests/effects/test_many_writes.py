"""How much one delivery writes is bounded: all of it is one call of the server."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.concurrency.queues.effects.effects import Effects
from shared.local.embedded import EmbeddedServer
from tests.instruments.server_time import GENEROUS, timed

MOST: Final[dict[str, tuple[int, Callable[[Effects, int], None]]]] = {
    "hincrby": (2398, lambda effects, n: effects.hincrby("hash", f"word{n}", n)),
    "hincrby of many hashes": (800, lambda effects, n: effects.hincrby(f"hash{n}", "word", n)),
    "hset": (11990, lambda effects, n: effects.hset("hash", f"word{n}", n)),
    "set": (1200, lambda effects, n: effects.set(f"key{n}", n)),
    "incrby": (1200, lambda effects, n: effects.incrby(f"key{n}", n)),
    "delete": (1200, lambda effects, n: effects.delete(f"key{n}")),
    "expire": (1200, lambda effects, n: effects.expire(f"key{n}", 60)),
    "rpush": (23980, lambda effects, n: effects.rpush("list", n)),
    "sadd": (23980, lambda effects, n: effects.sadd("set", n)),
    "sadd of many": (239, lambda effects, n: effects.sadd("set", *range(100 * n, 100 * n + 100))),
}
"""How often one delivery can make each write."""


@pytest.mark.parametrize("kind", MOST)
async def test_as_much_as_one_delivery_may_write_is_a_short_call(server: EmbeddedServer, kind: str) -> None:
    async with (
        Redis.from_url(server.url, protocol=3) as client,
        Session.open(server.url, ttl=60) as session,
    ):
        queue = Queue(session, "jobs", int)
        await queue.put(1)
        delivery = await queue.get()
        most, write = MOST[kind]
        for number in range(most):
            write(delivery.effects, number)
        with pytest.raises(ValueError, match="too many: they would hold the server up"):
            write(delivery.effects, most)
        assert len(delivery.effects) == most
        async with timed(client) as calls:
            await delivery.ack()
        assert calls.worst < GENEROUS


async def test_what_is_asked_for_again_counts_once(session: Session, client: Any, name: str) -> None:
    queue, key = Queue(session, name, int), f"{{{name}}}:sum"
    await queue.put(1)
    delivery = await queue.get()
    for _ in range(5000):
        delivery.effects.hincrby(key, "field")
        delivery.effects.incrby(f"{key}:alone")
        delivery.effects.hset(f"{key}:texts", "field", "text")
    await delivery.ack()
    assert await client.hget(key, "field") == b"5000"
    assert await client.get(f"{key}:alone") == b"5000"
