"""Production: what the producers of a run tell of their work, for whoever watches it."""

import os
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

_KEPT_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Produced:
    """What all producers of a run have done together."""

    messages: int = 0
    """Messages that are in the queue, or were."""
    waited: float = 0.0
    """Seconds that puts took, which is how long the queue held the producers back."""


class Production:
    """The record of one run, and who takes part in it."""

    def __init__(self, client: "redis.asyncio.Redis", queue: str, run: str) -> None:
        """Prepare; kept for an hour after the last change."""
        self._client = client
        self._produced = f"{{{queue}}}:produced:{run}"
        self._consumers = f"{{{queue}}}:consumers:{run}"

    async def add(self, done: Produced) -> None:
        """Add what one producer did since it last told."""
        async with self._client.pipeline(transaction=True) as transaction:
            transaction.hincrby(self._produced, "messages", done.messages)
            transaction.hincrbyfloat(self._produced, "waited", done.waited)
            transaction.expire(self._produced, _KEPT_SECONDS)
            await transaction.execute()

    async def read(self) -> Produced:
        """What has been done so far."""
        messages, waited = await _answer(self._client.hmget(self._produced, ["messages", "waited"]))
        return Produced(int(messages or 0), float(waited or 0.0))

    async def consumer_started(self, owner: str) -> None:
        """Tell under which owner this process is known to the queue."""
        async with self._client.pipeline(transaction=True) as transaction:
            transaction.hset(self._consumers, str(os.getpid()), owner)
            transaction.expire(self._consumers, _KEPT_SECONDS)
            await transaction.execute()

    async def owner_of(self, pid: int) -> str | None:
        """The owner that a consumer process said it has."""
        owner: bytes | None = await _answer(self._client.hget(self._consumers, str(pid)))
        return None if owner is None else owner.decode()


async def _answer(reply: Any) -> Any:
    """redis-py types its asyncio client's answers as if they might not have to be awaited."""
    return await reply
