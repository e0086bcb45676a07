"""Record: the keys of a server in which messages of a campaign count themselves, each with its acknowledgement."""

from typing import Final

from redis.asyncio import Redis

_SHARDS: Final = 997
KIND: Final = "done"
"""What follows the name of the queue in each of these keys."""


def done_key(queue: str, number: int) -> str:
    """The hash in which a message counts itself with its acknowledgement."""
    return f"{{{queue}}}:{KIND}:{number % _SHARDS}"


def done_keys(queue: str) -> list[str]:
    """All of these hashes, whether they are there yet or not."""
    return [done_key(queue, number) for number in range(_SHARDS)]


async def read_counts(client: Redis, queue: str) -> dict[tuple[int, int], int]:
    """How often each message counted itself."""
    found: dict[tuple[int, int], int] = {}
    for key in done_keys(queue):
        async for field, times in client.hscan_iter(key, count=1000):
            part, number = field.decode().split("-")
            found[int(part), int(number)] = int(times)
    return found
