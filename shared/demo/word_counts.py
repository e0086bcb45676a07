"""Words, and how often each was counted: what the demo's messages bring about."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

from shared.concurrency import Effects
from shared.demo.stop_words import Dictionary

WORD: Final = re.compile(r"[^\W\d_]+")
"""A word, before it is lower-cased."""
_ASCII_WORD: Final = re.compile(WORD.pattern, re.ASCII)
"""The same in a text of ASCII, found in half the time."""

_KEPT_SECONDS: Final = 3600
_VERSION: Final = "version:"


def words_in(text: str) -> list[str]:
    """The words of a text, as they stand there."""
    return (_ASCII_WORD if text.isascii() else WORD).findall(text)


def count_words(text: str) -> Counter[str]:
    """Count the words of a text, lower-cased."""
    return Counter(map(str.lower, words_in(text)))


@dataclass(frozen=True, slots=True)
class Counted:
    """All messages of a run together."""

    words: Counter[str]
    stop_words: int
    """How many of them were stop words of the version that was read with their message."""
    versions: frozenset[int]
    """The versions of the dictionary that were read."""


class WordCounts:
    """The counts of one run, kept for an hour after the last write."""

    def __init__(self, client: "redis.asyncio.Redis", queue: str, run: str) -> None:
        """Prepare. The keys share the hash tag of the queue, as effects have to."""
        self._client = client
        self._words = f"{{{queue}}}:counts:{run}"
        self._facts = f"{{{queue}}}:facts:{run}"

    def add(self, effects: Effects, counts: Counter[str], dictionary: Dictionary) -> None:
        """Count what one message held, with its acknowledgement: once, however often the message is delivered."""
        if counts:
            effects.hincrby(self._words, counts)
        stop_words = sum(count for word, count in counts.items() if word in dictionary.words)
        effects.hincrby(self._facts, {"stop_words": stop_words, f"{_VERSION}{dictionary.version}": 1})
        for key in (self._words, self._facts):
            effects.expire(key, _KEPT_SECONDS)

    async def total(self) -> Counted:
        """The counts of all messages together."""
        # A scan may return a field twice.
        words = {field.decode(): int(count) async for field, count in self._client.hscan_iter(self._words, count=1000)}
        asked: Any = self._client.hgetall(self._facts)
        facts = {field.decode(): int(count) for field, count in (await asked).items()}
        versions = (int(fact.removeprefix(_VERSION)) for fact in facts if fact.startswith(_VERSION))
        return Counted(Counter(words), facts.get("stop_words", 0), frozenset(versions))

    async def delete(self) -> None:
        """Forget this run."""
        await self._client.delete(self._words, self._facts)
