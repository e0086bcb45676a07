"""What a word is, and that storing the counts of a message again changes nothing."""

from collections import Counter

import redis.asyncio

from shared.word_counts import WordCounts, count_words


def test_a_word_is_letters_only_and_then_lower_case() -> None:
    assert count_words("Hello, hello_World2x ÄRGER ärger 42 _ ß") == Counter(
        {"hello": 2, "world": 1, "x": 1, "ärger": 2, "ß": 1}
    )


async def test_storing_twice_counts_once_and_expires(url: str, name: str) -> None:
    async with redis.asyncio.Redis.from_url(url) as client:
        counts = WordCounts(client, name, "run")
        assert await counts.total() == Counter()
        for _ in range(2):
            await counts.store("one", Counter({"a": 2, "größe": 1}))
        await counts.store("two", Counter({"a": 1}))
        assert await counts.total() == Counter({"a": 3, "größe": 1})
        assert 3500 < await client.ttl(f"{{{name}}}:counts:run") <= 3600
        await counts.delete()
        assert await counts.total() == Counter()
