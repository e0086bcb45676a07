"""Dead letters that another program wrote: whoever reads them gets what can be read of them."""

import asyncio
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from cli.letter import cells_of, fields_of, text_of
from monitor.link import open_link
from monitor.page.letters import newest_letter
from shared.concurrency import Queue, Session
from tests.instruments.page import watching

LETTERS: Final[dict[str, bytes]] = {
    "empty": b"",
    "no JSON": b"{\nx",
    "no object": b"[]\nx",
    "nothing in it": b"{}\nx",
    "other types": b'{"reason":["failed"],"error":{},"died_ms":"soon"}\nx',
    "no time": b'{"reason":"failed","error":"e","died_ms":1e308}\nx',
    "before all time": b'{"reason":"failed","error":"e","died_ms":-1e308}\nx',
    "NaN": b'{"reason":"failed","error":"e","died_ms":NaN}\nx',
    "half a character": b'{"reason":"\\ud800","error":"\\udfff","died_ms":1}\nx',
    "too deep": b"[" * 100_000 + b"\nx",
    "headers too deep": b'{"reason":"failed","error":"e","died_ms":1}\n1700000000000001forgedforged00000000010000000000.999'
    + b"[" * 999,
}


@pytest.mark.parametrize("what", LETTERS)
async def test_a_letter_is_read_as_far_as_it_can_be(session: Session, name: str, client: Any, what: str) -> None:
    await client.hset(f"{{{name}}}:dead", "key", LETTERS[what])
    await client.zadd(f"{{{name}}}:dead:index", {"key": 1})
    (letter,) = await Queue(session, name, int).dead_letters()
    assert letter.reason
    for text in (
        letter.reason,
        letter.error,
        letter.id,
        *map(str, cells_of(letter)),
        *map(str, fields_of(letter).values()),
    ):
        text.encode()
    assert list(text_of(letter))


async def test_the_page_shows_such_a_letter(url: str, session: Session, name: str, client: Redis) -> None:
    some: Any = client
    await Queue(session, name, int).put(1)
    async with open_link(url) as link:
        for what, letter in LETTERS.items():
            await some.hset(f"{{{name}}}:dead", "key", letter)
            await some.zadd(f"{{{name}}}:dead:index", {"key": 1})
            found = await newest_letter(link, name, "failed", "")
            assert found is None or found.reason == "failed", what
    with watching(url) as page:
        await some.hset(f"{{{name}}}:dead", "key", LETTERS["half a character"])
        # Its reason is what the script reads there: the page asks by the text that it was shown.
        for asked in ("%ED%A0%80", "%EF%BF%BD", "\\ud800", ""):
            answer = await asyncio.to_thread(page.ask, f"/letter?queue={name}&reason={asked}")
            assert answer.status in {200, 404}, answer
