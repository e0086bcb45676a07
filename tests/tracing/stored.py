"""A message as it is stored."""

from typing import Any

from redis.asyncio import Redis


async def stored(client: Redis, name: str) -> bytes:
    """The only message of a queue that nobody has taken."""
    raw: Any = client
    (entry,) = await raw.lrange(f"{{{name}}}:pending", 0, -1)
    assert isinstance(entry, bytes)
    return entry
