"""The first and the last error stay with their message: through attempts, processes, death and replay."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from redis.asyncio import Redis

from shared.concurrency import Delivery, IdConflict, Queue, Session
from shared.concurrency.queues.encoding import entry as entries
from shared.concurrency.queues.encoding.entry import pack_headers, pack_headers_with_error, pack_middle, read
from shared.concurrency.queues.membership.keys import leased_key
from tests.instruments import inside

STAMP_AND_KEY = b"0" * 16 + b"k" * 22


class Pair(BaseModel):
    """A class that travels with its name."""

    x: int


async def fail(delivery: Delivery[int], text: str) -> None:
    with pytest.raises(LookupError):
        async with delivery:
            raise LookupError(text)


async def test_a_delivery_tells_the_first_and_the_last_error(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(7)
    seen = []
    for text in ("one", "two", "three"):
        delivery = await queue.get()
        seen.append((delivery.failures, delivery.first_error, delivery.last_error, delivery.item))
        await fail(delivery, text)
    delivery = await queue.get()
    seen.append((delivery.failures, delivery.first_error, delivery.last_error, delivery.item))
    # A failure that tells nothing, and one given back, leave them as they are.
    await delivery.nack()
    delivery = await queue.get()
    assert (delivery.first_error, delivery.last_error) == ("LookupError: one", "LookupError: three")
    await delivery.ack()
    assert seen == [
        (0, None, None, 7),
        (1, "LookupError: one", "LookupError: one", 7),
        (2, "LookupError: one", "LookupError: two", 7),
        (3, "LookupError: one", "LookupError: three", 7),
    ]


async def test_a_dead_letter_and_its_replay_keep_them_and_the_id(session: Session, name: str) -> None:
    queue = Queue(session, name, Pair, max_attempts=2)
    await queue.put(Pair(x=1), id="the-id")
    for text in ("one", "two"):
        with pytest.raises(LookupError):
            async with await queue.get():
                raise LookupError(text)
    (letter,) = await queue.dead_letters()
    assert (letter.reason, letter.error, letter.id, letter.type) == ("failed", "LookupError: two", "the-id", "Pair")
    assert (letter.first_error, letter.last_error) == ("LookupError: one", "LookupError: two")
    assert letter.body == b'{"x":1}'
    await queue.put(Pair(x=1), id="the-id")  # known: no new message
    with pytest.raises(IdConflict):
        await queue.put(Pair(x=2), id="the-id")
    assert await queue.replay() == 1
    async with await queue.get() as item:
        assert item == Pair(x=1)


async def test_a_replayed_message_tells_its_errors_and_counts_anew(session: Session, name: str) -> None:
    queue = Queue(session, name, int, max_attempts=1)
    await queue.put(1)
    await fail(await queue.get(), "old")
    await queue.replay()
    delivery = await queue.get()
    assert (delivery.failures, delivery.attempt, delivery.first_error) == (0, 1, "LookupError: old")
    await fail(delivery, "new")
    (letter,) = await queue.dead_letters()
    assert (letter.first_error, letter.last_error) == ("LookupError: old", "LookupError: new")


async def test_a_text_of_any_length_and_any_characters_is_kept_as_far_as_it_fits(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1, id="i" * 128)
    for text in ("x" * 10**6, "\x00\x1b\"'\\ \n" * 300, "\N{PILE OF POO}" * 400, "lone \udcff surrogate"):
        await fail(await queue.get(), text)
    delivery = await queue.get()
    assert delivery.id == "i" * 128
    assert delivery.first_error == ("LookupError: " + "x" * 300)[:300]
    assert delivery.last_error == "LookupError: lone \\udcff surrogate"
    assert delivery.item == 1
    await delivery.ack()


async def test_messages_that_failed_do_not_fill_the_cache_of_headers(session: Session, name: str) -> None:
    queue = Queue(session, name, Pair)
    await queue.put_many(Pair(x=number) for number in range(20))
    for delivery in [await queue.get() for _ in range(20)]:
        with pytest.raises(LookupError):
            async with delivery as pair:
                raise LookupError(str(pair.x))
    for _ in range(20):
        async with await queue.get():
            pass
    assert not [raw for raw in entries._seen_headers if b"LookupError" in raw]


@pytest.mark.parametrize("headers", [b"x" * 1000, b""])
async def test_the_step_takes_no_headers_that_are_too_long(
    session: Session, name: str, url: str, headers: bytes
) -> None:
    queue = Queue(session, name, int)
    await queue.put(7, id="seven")
    delivery = await queue.get()
    await inside.nack_by_hand(queue, delivery, headers)
    async with Redis.from_url(url) as client:
        assert await client.hlen(leased_key(name, inside.session_id_at(queue)).decode()) == 0
    delivery = await queue.get()
    assert (delivery.id, delivery.item, delivery.failures) == ("seven", 7, 1)
    await delivery.ack()


@given(
    id_=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=128),
    type_name=st.text(min_size=1, max_size=80),
    texts=st.lists(st.text(max_size=400), min_size=1, max_size=3),
)
def test_headers_with_errors_always_fit_and_keep_all_else(id_: str, type_name: str, texts: list[str]) -> None:
    headers: dict[str, str | int] = {"type": type_name, "id": id_, "digest": "d" * 24, "known_ms": 3600000}
    body = b'{"x":1}'
    stored = read(STAMP_AND_KEY + pack_middle(pack_headers(headers), has_id=True) + body)
    for text in texts:
        packed = pack_headers_with_error(stored, text)
        assert len(packed) <= 999
        stored = read(STAMP_AND_KEY + pack_middle(packed, has_id=True) + body)
        assert {word: stored.headers[word] for word in headers} == json.loads(pack_headers(headers))
        assert stored.body == body
    first, last = stored.first_error, stored.last_error
    assert first is not None
    assert last is not None
    assert texts[0].startswith(first)
    assert texts[-1].startswith(last)
    assert len(last) >= min(30, len(texts[-1]))


def test_headers_without_room_stay_as_they_are() -> None:
    stored = read(STAMP_AND_KEY + pack_middle(pack_headers({"type": "x" * 960}), has_id=False))
    assert pack_headers_with_error(stored, "an error") == b""
