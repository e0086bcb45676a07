"""What a word is, and that a message counts once, with its acknowledgement."""

from collections import Counter

import redis.asyncio

from shared.concurrency import Queue, Session
from shared.demo.source import MOST_WORDS, parts
from shared.demo.stop_words import Dictionary
from shared.demo.word_counts import WORD, Counted, WordCounts, count_words, words_in


def test_a_word_is_letters_only_and_then_lower_case() -> None:
    assert count_words("Hello, hello_World2x ÄRGER ärger 42 _ ß") == Counter(
        {"hello": 2, "world": 1, "x": 1, "ärger": 2, "ß": 1}
    )


def test_words_are_the_same_in_a_text_of_ascii_alone() -> None:
    text = "".join(chr(code) + other for code in range(128) for other in ("a", "_", " ", "A1b"))
    assert text.isascii()
    assert words_in(text) == WORD.findall(text)


async def test_a_message_counts_once_and_the_counts_expire(url: str, name: str) -> None:
    async with redis.asyncio.Redis.from_url(url) as client, Session.open(url) as session:
        queue, counts = Queue(session, name, int), WordCounts(client, name, "run")
        first, second = Dictionary(1, frozenset({"a"})), Dictionary(2, frozenset({"größe"}))
        assert (await counts.total()).words == Counter()
        for words, dictionary, times in ((Counter({"a": 2, "größe": 1}), first, 3), (Counter({"a": 1}), second, 1)):
            await queue.put(1)
            for attempt in range(times):
                delivery = await queue.get()
                counts.add(delivery.effects, words, dictionary)
                if attempt + 1 < times:
                    await delivery.nack()
                else:
                    await delivery.ack()
        assert await counts.total() == Counted(Counter({"a": 3, "größe": 1}), 2, frozenset({1, 2}))
        for key in ("counts", "facts"):
            assert 3500 < await client.ttl(f"{{{name}}}:{key}:run") <= 3600
        await counts.delete()
        assert (await counts.total()).words == Counter()
        assert not await client.exists(f"{{{name}}}:counts:run", f"{{{name}}}:facts:run")


async def test_a_part_of_many_words_fits_into_one_message(url: str, name: str) -> None:
    async with redis.asyncio.Redis.from_url(url) as client, Session.open(url) as session:
        queue, counts = Queue(session, name, int), WordCounts(client, name, "run")
        await queue.put(1)
        words = Counter({chr(0x4E00 + number): 1 for number in range(MOST_WORDS)})
        assert len(list(parts(" ".join(words)))) == 1
        async with (delivery := await queue.get()):
            counts.add(delivery.effects, words, Dictionary(1, frozenset()))
        assert (await counts.total()).words == words
