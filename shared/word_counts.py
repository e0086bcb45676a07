"""Word counts: what a word is, and where the counts of a run are stored."""

import json
import re
from collections import Counter
from typing import Final

import redis.asyncio

WORD: Final = re.compile(r"[^\W\d_]+")
"""A word, before it is lower-cased."""

_KEPT_SECONDS: Final = 3600


def count_words(text: str) -> Counter[str]:
    """How often each word, lower-cased, stands in a text."""
    return Counter(word.lower() for word in WORD.findall(text))


class WordCounts:
    """The counts of one run, kept for an hour after the last write: for each message the words it held."""

    def __init__(self, client: "redis.asyncio.Redis", queue: str, run: str) -> None:
        """Prepare. The key stands beside the queue's own, under the same hash tag."""
        self._client = client
        self._key = f"{{{queue}}}:counts:{run}"

    async def store(self, message_id: str, counts: Counter[str]) -> None:
        """Store what one message held; storing it again changes nothing, so a second delivery counts once."""
        async with self._client.pipeline(transaction=True) as transaction:
            transaction.hset(self._key, message_id, json.dumps(counts, ensure_ascii=False))
            transaction.expire(self._key, _KEPT_SECONDS)
            await transaction.execute()

    async def total(self) -> Counter[str]:
        """The counts of all messages together."""
        total: Counter[str] = Counter()
        async for _, counts in self._client.hscan_iter(self._key, count=200):
            total.update(json.loads(counts))
        return total

    async def delete(self) -> None:
        """Forget this run."""
        await self._client.unlink(self._key)
