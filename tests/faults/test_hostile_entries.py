"""Entries that another program stored past every check: none ends a consumer, stops a queue or blocks a server."""

import asyncio
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from tests.fuzzing.orders import RULES, Order, handle
from tests.instruments.inside import owner_of, session_id_at
from tests.instruments.waiting import resolved, until
from tests.instruments.workers import working

STAMP_AND_KEY: Final = b"1700000000000001forgedforged0000000001"


def entry(flag: bytes, headers: bytes, body: bytes = b'{"number":5}') -> bytes:
    """An entry of a message whose handler fails (number 5), with these headers."""
    return b"%b0000000000%b%03d%b%b" % (STAMP_AND_KEY, flag, len(headers), headers, body)


@pytest.fixture
async def orders(session: Session, name: str) -> Queue[Order]:
    return Queue(session, name, Order, max_attempts=1, unread_for=0.001)


def hset(client: Any, key: str, field: str | bytes, value: bytes) -> Any:
    """Store bytes, which redis-py takes and its types do not know."""
    return client.hset(key, field, value)


async def ends_as_letters(queue: Queue[Order], count: int) -> list[str]:
    """Handle a good message behind them, and wait for so many dead letters; their reasons."""
    async with working(queue, handle, concurrency=1, rules=RULES):
        await queue.put(Order(number=0))
        seen = await until(queue.statistics, lambda now: now.dead >= count and now.acked_total >= 1 and now.leased == 0)
        assert (seen.dead, seen.acked_total) == (count, 1)
    return [letter.reason for letter in await queue.dead_letters()]


HEADERS: Final[dict[str, tuple[bytes, str]]] = {
    "a lone surrogate as an escape": (b'{"type":"Order","x":"\\ud800"}', "undecodable"),
    "a lone surrogate as bytes": (b'{"type":"Order","x":"\xed\xa0\x80"}', "undecodable"),
    "a class of a lone surrogate": (b'{"type":"\\udfff"}', "undecodable"),
    "another encoding": ('{"type":"Order"}'.encode("utf-16"), "undecodable"),
    "a nesting that overflows Python's stack": (b"[" * 999, "undecodable"),
    "no object": (b'["Order"]', "undecodable"),
    "no JSON": (b'{"type":', "undecodable"),
    "errors that are no text": (b'{"type":"Order","first_error":[1],"last_error":{"a":2}}', "failed"),
    "no number": (b'{"type":"Order","x":NaN,"y":-Infinity}', "failed"),
}  # fmt: skip


@pytest.mark.parametrize("what", HEADERS)
async def test_headers_that_are_none_end_no_consumer(orders: Queue[Order], name: str, client: Redis, what: str) -> None:
    headers, reason = HEADERS[what]
    await resolved(client.rpush(f"{{{name}}}:pending", entry(b".", headers)))
    assert await ends_as_letters(orders, 1) == [reason]


@pytest.mark.parametrize(
    "headers",
    [b'{"type":"Order","id":[[]]}', b'{"type":"Order","id":null}', b'{"type":"Order","id":{"a":1}}', b'{"type":"Order","id":true}',
     b'{"type":"Order","results_ms":1e308}', b'{"type":"Order","results_ms":-1}', b'{"type":"Order","results_ms":NaN}',
     b'{"type":["Order"],"id":7}'],
)  # fmt: skip
@pytest.mark.parametrize("flag", [b"i", b"r", b"s"])
async def test_what_scripts_read_of_headers_may_be_of_any_type(
    orders: Queue[Order], name: str, client: Redis, flag: bytes, headers: bytes
) -> None:
    await resolved(client.rpush(f"{{{name}}}:pending", entry(flag, headers)))
    reason = "unknown_type" if b"[" in headers[:9] else "failed"
    assert await ends_as_letters(orders, 1) == [reason]


@pytest.mark.parametrize("place", ["pending", "leased"])
async def test_a_result_that_cannot_be_kept_does_not_stop_recovery(
    orders: Queue[Order], name: str, client: Redis, place: str
) -> None:
    # Recovered for the last time, it is a dead letter, and its submitter is answered: under an id that is none.
    spoilt = entry(b"s", b'{"type":"Order","id":[]}')
    spoilt = spoilt[:38] + b"9" + spoilt[39:]
    if place == "leased":
        await resolved(hset(client, f"{{{name}}}:leased:gonegonegone.1.1", spoilt[:45], spoilt))
        await resolved(client.zadd(f"{{{name}}}:sessions", {"gonegonegone.1.1": 1}))
    else:
        await resolved(client.rpush(f"{{{name}}}:pending", spoilt))
    assert await ends_as_letters(orders, 1) == ["crashed" if place == "leased" else "failed"]


@pytest.mark.parametrize(
    "headers",
    [b"", b"{", b"[]", b'{"type":"Order"}', b'{"type":"Order","id":7,"digest":"x","known_ms":1}',
     b'{"type":"Order","id":"a","known_ms":1}', b'{"type":"Order","id":"a","digest":"x","known_ms":"soon"}',
     b'{"type":"Order","id":"a","digest":"x","known_ms":1e308}', b'{"type":"Order","id":"a","digest":"x","known_ms":NaN}'],
)  # fmt: skip
async def test_a_put_in_line_whose_id_is_none_lets_others_in(
    orders: Queue[Order], name: str, client: Redis, headers: bytes
) -> None:
    outgoing = entry(b"i", headers)[16:]
    await orders.put(Order(number=0))
    who = session_id_at(orders).encode()
    await resolved(hset(client, f"{{{name}}}:bodies", outgoing[:22].decode(), who + b" " + outgoing))
    await resolved(client.rpush(f"{{{name}}}:line", outgoing[:22]))
    async with working(orders, handle, rules=RULES):
        await until(orders.statistics, lambda now: (now.dead, now.acked_total, now.leased) == (1, 1, 0))


@pytest.mark.parametrize(
    "body", [b"*nobodynobod 00001     -8x", b"*nobodynobod 99999junk", b"*", b"", b"*nobodynobod "]
)
async def test_a_fold_that_is_none_blocks_no_server(
    orders: Queue[Order], name: str, client: Redis, body: bytes
) -> None:
    key = "*nobodynobo0000000001"
    await resolved(hset(client, f"{{{name}}}:bodies", key, body))
    await resolved(client.rpush(f"{{{name}}}:line", key))
    async with asyncio.timeout(10), working(orders, handle, rules=RULES):
        await orders.put(Order(number=0))
        await until(orders.statistics, lambda now: now.acked_total == 1)


async def test_a_record_of_an_id_that_is_none_is_written_anew(orders: Queue[Order], name: str, client: Redis) -> None:
    await resolved(hset(client, f"{{{name}}}:ids", "order-1", b"junk"))
    assert await orders.put(Order(number=0), id="order-1")
    assert not await orders.put(Order(number=0), id="order-1")


@pytest.mark.parametrize(
    "forged",
    [b"", b"x", b"\xff" * 60, b"0" * 44, b"1" * 60, b"\xff" * 38 + b"0" * 20],
)  # fmt: skip
async def test_a_handoff_that_is_none_is_passed_over(
    orders: Queue[Order], name: str, client: Redis, session: Session, forged: bytes
) -> None:
    async with working(orders, handle, rules=RULES):
        await orders.put(Order(number=0))
        push = f"handed {name} {session_id_at(orders)} ".encode() + forged
        assert await resolved(client.publish(f"weir:{owner_of(session)}", push)) == 1
        await orders.put(Order(number=0))
        seen = await until(orders.statistics, lambda now: now.acked_total == 2 and now.leased == 0)
        assert seen.dead == 0


async def test_a_forged_handoff_ends_nobody_else_s_session(
    orders: Queue[Order], name: str, client: Redis, session: Session, other: Session
) -> None:
    theirs = Queue(other, name, Order)
    await theirs.put(Order(number=0))
    delivery = await theirs.get()
    async with working(orders, handle, rules=RULES):
        push = f"handed {name} {session_id_at(theirs)} ".encode() + entry(b".", b'{"type":"Order"}')
        assert await resolved(client.publish(f"weir:{owner_of(session)}", push)) == 1
        await orders.put(Order(number=0))
        await until(orders.statistics, lambda now: now.acked_total == 1)
        await delivery.ack()


async def test_a_receipt_that_is_no_text_is_logged_when_it_is_refused(
    orders: Queue[Order], name: str, client: Redis
) -> None:
    spoilt = STAMP_AND_KEY[:20] + b"\xff" * 18 + b"0000000000.000{}"
    await resolved(client.rpush(f"{{{name}}}:pending", spoilt))
    assert await ends_as_letters(orders, 1) == ["undecodable"]
