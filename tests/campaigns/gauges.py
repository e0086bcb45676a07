"""Gauges: what is read of a running campaign, past the product: the keys themselves, and the kernel's own figures.

Of the server's memory what is no data counts: the referee's counts of messages are data, and grow.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.campaigns.heap import last_note
from tests.campaigns.record import done_keys

RESIDENT: Final = "MiB"
"""Resident memory: with what allocators keep for later."""
KEYS: Final = "keys of the server"
"""All but those that the campaign keeps as its record."""
_EVERY: Final = 0.1
_SLOW: Final = 10
"""Of so many looks one reads the slow figures, too."""


class Gauges:
    """Looks ten times a second; while the server is away it sees nothing."""

    def __init__(self, client: Redis, name: str, watched: Callable[[], dict[str, int]], records: Path) -> None:
        """`watched`: the processes whose memory and descriptors are read, by what they are called.

        `records`: where they write down what they have in use.
        """
        self.client = client
        """Another one, where another server leads."""
        self._name = name
        self._watched = watched
        self._records = records
        self._record = done_keys(name)
        self.put_total = 0
        """How many puts the server has counted."""
        self.pending: list[tuple[float, int]] = []
        """What was pending, and when: seconds."""
        self.samples: dict[str, list[tuple[float, float]]] = {}
        """What each figure was, and when: seconds."""

    @property
    def most_pending(self) -> int:
        """What was pending at once, at most."""
        return max((pending for _, pending in self.pending), default=0)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look while the block runs."""
        looking = asyncio.create_task(self._look_on(), name="gauges")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait({looking})

    async def _look_on(self) -> None:
        looks = 0
        while True:
            with contextlib.suppress(RedisError, OSError):
                await self._look(is_slow=not looks % _SLOW)
            looks += 1
            await asyncio.sleep(_EVERY)

    async def _look(self, *, is_slow: bool) -> None:
        async with self.client.pipeline(transaction=False) as pipeline:
            pipeline.llen(f"{{{self._name}}}:pending")
            pipeline.hget(f"{{{self._name}}}:totals", "put")
            if is_slow:
                pipeline.info("memory")
                pipeline.info("clients")
                pipeline.dbsize()
                pipeline.exists(*self._record)
            pending, put, *slow = await pipeline.execute()
        self.pending.append((time.monotonic(), pending))
        self.put_total = max(self.put_total, int(put or 0))
        if is_slow:
            memory, clients, keys, of_record = slow
            self._note(KEYS, keys - of_record)
            self._note("connections", clients["connected_clients"])
            self._note("memory of the server less its data", _overhead(memory))
            for what, pid in self._watched().items():
                for figure, value in (_figures(pid) | last_note(self._records, pid)).items():
                    self._note(f"{figure} of {what}", value)

    def _note(self, what: str, value: float) -> None:
        self.samples.setdefault(what, []).append((time.monotonic(), float(value)))


def _overhead(memory: dict[str, Any]) -> float:
    return float(memory["used_memory"] - memory["used_memory_dataset"])


def _figures(pid: int) -> dict[str, float]:
    """Resident memory in MiB and open descriptors of a process; nothing when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        resident = int(status.partition("VmRSS:")[2].split()[0]) / 1024
        return {RESIDENT: resident, "descriptors": float(len(list(Path(f"/proc/{pid}/fd").iterdir())))}
    except (OSError, IndexError):
        return {}
