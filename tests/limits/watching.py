"""Looks at the gates of a queue."""

from typing import Any, Final

from redis.asyncio import Redis

from shared.concurrency import Queue, QueueLimit
from tests.instruments.order import OF_KEYS, OF_LIMITS
from tests.instruments.waiting import until

EMPTY_AT_REST: Final = tuple(word for word in (*OF_KEYS, *OF_LIMITS) if word != "flow")
"""`flow` has the numbers."""


async def of(queue: Queue[Any], name: str | None = "api") -> QueueLimit:
    """A limit of the queue; None: that of shares."""
    (found,) = [limit for limit in await queue.limits() if limit.name == name]
    return found


async def at_rest(client: Redis, name: str) -> None:
    """Wait until nothing is left in any key of order and of limits."""

    async def left() -> list[str]:
        return [word for word in EMPTY_AT_REST if await client.exists(f"{{{name}}}:{word}")]

    await until(left, lambda words: not words)
