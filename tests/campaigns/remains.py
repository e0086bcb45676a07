"""Remains: what a server holds of those who used it, by its keys: connections, sessions, and keys by kind."""

import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio import Redis

from shared.concurrency import Queue, QueueEmpty
from tests.campaigns.checkers.leaks import leaks
from tests.campaigns.fleet import TTL
from tests.campaigns.record import KIND
from tests.instruments.waiting import until

_FOR_EVER: Final = -1
_KEPT: Final = frozenset({KIND, "ids", "lanes", "let_in", "settings", "totals"})
"""What a queue keeps at rest, for an age; and the keys in which messages of a campaign count themselves."""


async def count_remains(client: Redis, name: str) -> dict[str, int]:
    """How many connections and sessions there are, and keys of a queue, by what follows its name."""
    found: Counter[str] = Counter()
    async for key in client.scan_iter(match=f"{{{name}}}:*", count=1000):
        kind = key.decode().partition("}:")[2].partition(":")[0]
        if kind not in _KEPT:
            found[f"keys of {kind}"] += 1
    found["sessions at the queue"] = await client.zcard(f"{{{name}}}:sessions")
    found["connections of sessions"] = sum(entry["name"].startswith("weir-") for entry in await client.client_list())
    return dict(found)


async def left_behind(before: Mapping[str, int], client: Redis, name: str, queue: Queue[Any]) -> list[str]:
    """What there is more of than before, when the sessions of those killed last are over and somebody has taken.

    Whoever takes recovers what the dead held; here nothing is left to take.
    """

    async def more() -> list[str]:
        with contextlib.suppress(QueueEmpty):
            await queue.get_nowait()
        return leaks(before, await count_remains(client, name))

    try:
        return await until(more, lambda found: not found, 5 * TTL)
    except AssertionError:
        return await more()


async def count_endless(client: Redis, base: str) -> dict[str, int]:
    """How many keys of leases whose names begin so stay for ever: those of dead holders and waiters must not."""
    found: Counter[str] = Counter()
    async for key in client.scan_iter(match=f"{{{base}*", count=1000):
        if await client.pttl(key) == _FOR_EVER:
            found[f"keys without an end of {key.decode().partition('}:')[2]}"] += 1
    return dict(found)
