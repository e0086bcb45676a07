"""What a word is, and that storing the counts of a message again changes nothing."""

from collections import Counter

import redis.asyncio

from shared.stop_words import Dictionary
from shared.word_counts import Counted, WordCounts, count_words


def test_a_word_is_letters_only_and_then_lower_case() -> None:
    assert count_words("Hello, hello_World2x ÄRGER ärger 42 _ ß") == Counter(
        {"hello": 2, "world": 1, "x": 1, "ärger": 2, "ß": 1}
    )


async def test_storing_twice_counts_once_and_expires(url: str, name: str) -> None:
    async with redis.asyncio.Redis.from_url(url) as client:
        counts = WordCounts(client, name, "run")
        first, second = Dictionary(1, frozenset({"a"})), Dictionary(2, frozenset({"größe"}))
        assert (await counts.total()).words == Counter()
        for version in (second, first):
            await counts.store("one", Counter({"a": 2, "größe": 1}), version)
        await counts.store("two", Counter({"a": 1}), second)
        assert await counts.total() == Counted(Counter({"a": 3, "größe": 1}), 2, frozenset({1, 2}))
        assert 3500 < await client.ttl(f"{{{name}}}:counts:run") <= 3600
        await counts.delete()
        assert (await counts.total()).words == Counter()
