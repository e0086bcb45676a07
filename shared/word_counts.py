"""Word counts: what a word is, and where the counts of a run are stored."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

import redis.asyncio

from shared.stop_words import Dictionary

WORD: Final = re.compile(r"[^\W\d_]+")
"""A word, before it is lower-cased."""

_KEPT_SECONDS: Final = 3600


def count_words(text: str) -> Counter[str]:
    """How often each word, lower-cased, stands in a text."""
    return Counter(word.lower() for word in WORD.findall(text))


@dataclass(frozen=True, slots=True)
class Counted:
    """All messages of a run together."""

    words: Counter[str]
    stop_words: int
    """How many of them were stop words of the version that was read with their message."""
    versions: frozenset[int]
    """The versions of the dictionary that were read."""


class WordCounts:
    """The counts of one run, kept for an hour after the last write: for each message the words it held."""

    def __init__(self, client: "redis.asyncio.Redis", queue: str, run: str) -> None:
        """Prepare. The key stands beside the queue's own, under the same hash tag."""
        self._client = client
        self._key = f"{{{queue}}}:counts:{run}"

    async def store(self, message_id: str, counts: Counter[str], dictionary: Dictionary) -> None:
        """Store what one message held; storing it again writes over it, so a second delivery counts once."""
        stop_words = sum(count for word, count in counts.items() if word in dictionary.words)
        stored = json.dumps([dictionary.version, stop_words, counts], ensure_ascii=False)
        async with self._client.pipeline(transaction=True) as transaction:
            transaction.hset(self._key, message_id, stored)
            transaction.expire(self._key, _KEPT_SECONDS)
            await transaction.execute()

    async def total(self) -> Counted:
        """The counts of all messages together."""
        words: Counter[str] = Counter()
        # By message: a scan may return one twice.
        stop_words: dict[bytes, tuple[int, int]] = {}
        async for message_id, stored in self._client.hscan_iter(self._key, count=200):
            if message_id in stop_words:
                continue
            version, count, counts = json.loads(stored)
            stop_words[message_id] = version, count
            words.update(counts)
        return Counted(
            words,
            sum(count for _, count in stop_words.values()),
            frozenset(version for version, _ in stop_words.values()),
        )

    async def delete(self) -> None:
        """Forget this run."""
        await self._client.unlink(self._key)
