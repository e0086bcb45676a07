"""Waits: how long the processes of a run waited for the dictionary's lease, and what they saw."""

from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

_KEPT_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Waited:
    """All processes of a run together."""

    torn_reads: int
    """Reads that saw one key of one version and one of another. 0, or the lease is broken."""
    longest_read: float
    """Seconds from asking to entering."""
    longest_write: float


class Waits:
    """The record of one run; kept for an hour after the last change."""

    def __init__(self, client: "redis.asyncio.Redis", queue: str, run: str, owner: str) -> None:
        """Prepare. `owner`: the process that notes; without one nothing is noted, only read."""
        self._client = client
        self._key = f"{{{queue}}}:waits:{run}"
        self._owner = owner
        self._longest = {"read": 0.0, "write": 0.0}

    async def read_waited(self, seconds: float) -> None:
        """Note how long a reader waited."""
        await self._waited("read", seconds)

    async def write_waited(self, seconds: float) -> None:
        """Note how long a writer waited."""
        await self._waited("write", seconds)

    async def _waited(self, mode: str, seconds: float) -> None:
        if seconds > self._longest[mode]:
            self._longest[mode] = seconds
            # A field for each process: nobody has to compare.
            await self._note(f"{mode}:{self._owner}", seconds)

    async def _note(self, field: str, value: float) -> None:
        async with self._client.pipeline(transaction=True) as transaction:
            transaction.hset(self._key, field, str(value))
            transaction.expire(self._key, _KEPT_SECONDS)
            await transaction.execute()

    async def torn(self) -> None:
        """Note a read that saw two versions at once."""
        answer: Any = self._client.hincrby(self._key, "torn", 1)
        await answer

    async def read(self) -> Waited:
        """What all have noted so far."""
        answer: Any = self._client.hgetall(self._key)
        noted = {field.decode(): float(value) for field, value in (await answer).items()}
        longest = {
            mode: max((value for field, value in noted.items() if field.startswith(f"{mode}:")), default=0.0)
            for mode in ("read", "write")
        }
        return Waited(int(noted.get("torn", 0)), longest["read"], longest["write"])
