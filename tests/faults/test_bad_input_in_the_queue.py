"""What is wrong, hostile or strange in the queue becomes a dead letter before user code runs, and the queue goes on."""

import asyncio
import math
import pickle
import sys
from collections.abc import Mapping
from typing import Any, Final

import pytest
from pydantic import BaseModel, ConfigDict, field_validator
from redis.asyncio import Redis

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, Session
from shared.concurrency.queues.encoding.entry import pack_headers, pack_middle
from tests.instruments.census import take_census
from tests.instruments.waiting import resolved


class Order(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    number: int
    price: float | None = None

    @classmethod
    def registered(cls) -> Mapping[str, type]:
        return {"Order": Order, "Refund": Refund}


class Refund(Order):
    reason: str


class Deleted(Order):
    """A class that the consumer does not know."""


@pytest.fixture
async def orders(session: Session, name: str) -> Queue[Order]:
    return Queue(session, name, Order, max_message_bytes=1000)


async def inject(client: Redis, name: str, body: bytes, type_name: str | None = "Order", **more: Any) -> None:
    """Put an entry as another program would that speaks our format: past every check."""
    number = await resolved(client.hincrby(f"{{{name}}}:totals", "put", 1))
    headers: dict[str, str | int] = ({} if type_name is None else {"type": type_name}) | more
    tail = b"stranger1234%010d%b%b" % (number, pack_middle(pack_headers(headers), has_id=False), body)
    await resolved(client.rpush(f"{{{name}}}:pending", b"%016d" % number + tail))


async def only_letter(orders: Queue[Order], *, comes_again: bool = False) -> tuple[str, bytes]:
    """Deliver a good message behind the bad one, and return the reason and the bytes of the one dead letter."""
    await orders.put(Order(number=7))
    async with await orders.get() as order:
        assert order == Order(number=7)
    waiting = asyncio.create_task(orders.get()) if comes_again else None
    await orders.join()
    if waiting is not None:
        waiting.cancel()
    [letter] = await orders.dead_letters()
    return letter.reason, letter.body


UNREADABLE: Final[dict[str, bytes]] = {
    "empty": b"",
    "truncated": b'{"number": 1',
    "trailing": b'{"number": 1} {"number": 2}',
    "byte order mark": b'\xef\xbb\xbf{"number": 1}',
    "no UTF-8": b'{"number": "\xff\xfe"}',
    "lone surrogate": b'{"number": "\\ud800"}',
    "pickle": pickle.dumps({"number": 1}),
    "a nesting of 250": b'{"number": ' + b"[" * 250 + b"]" * 250 + b"}",
    "infinity": b'{"number": 1, "price": 1e999x}',
    "NUL": b"\x00" * 20,
}

INVALID: Final[dict[str, bytes]] = {
    "text for a number": b'{"number": "1"}',
    "true for a number": b'{"number": true}',
    "a fraction for a whole number": b'{"number": 1.5}',
    "null": b"null",
    "a list": b"[]",
    "missing field": b"{}",
    "NaN": b'{"number": 1, "price": NaN}',
    "Infinity": b'{"number": 1, "price": Infinity}',
    "overflow": b'{"number": 1, "price": 1e999}',
}


@pytest.mark.parametrize("what", UNREADABLE)
async def test_what_is_no_json_is_a_dead_letter_with_its_bytes(
    orders: Queue[Order], name: str, client: Redis, what: str
) -> None:
    await inject(client, name, UNREADABLE[what])
    assert await only_letter(orders) == ("undecodable", UNREADABLE[what])


@pytest.mark.parametrize("what", INVALID)
async def test_what_is_not_valid_is_a_dead_letter_with_its_bytes(
    orders: Queue[Order], name: str, client: Redis, what: str
) -> None:
    await inject(client, name, INVALID[what])
    assert await only_letter(orders) == ("invalid", INVALID[what])


@pytest.mark.parametrize("body", [b"NaN", b"Infinity", b'{"number": NaN}'])
async def test_a_field_of_any_type_takes_from_another_program_what_no_put_of_ours_writes(
    session: Session, name: str, client: Redis, body: bytes
) -> None:
    queue: Queue[Any] = Queue(session, name, Any)
    await queue.qsize()  # registered
    await inject(client, name, body, None)
    async with asyncio.timeout(5), await queue.get() as item:
        number = item["number"] if isinstance(item, dict) else item
        assert not math.isfinite(number)
        with pytest.raises(ValueError, match=r"JSON|same"):
            await queue.put(item)
    assert await queue.dead_letters() == []


async def test_what_a_validator_of_the_class_raises_is_a_dead_letter_and_ends_no_worker(
    session: Session, name: str, client: Redis
) -> None:
    class Fussy(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def _look(cls, number: int) -> int:
            if number > 5:
                raise TypeError("too much")
            return number

    queue = Queue(session, name, Fussy)
    await queue.put(Fussy(number=1))
    await inject(client, name, b'{"number":9}', "Fussy")
    await queue.put(Fussy(number=2))
    handled: list[int] = []

    async def handle(delivery: Delivery[Fussy]) -> None:
        handled.append(delivery.item.number)

    worker = Worker(queue, handle, concurrency=1)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(40):
        await queue.join()
        worker.drain()
        await running
    assert handled == [1, 2]
    (letter,) = await queue.dead_letters()
    assert (letter.reason, letter.error) == ("invalid", "TypeError: too much")


@pytest.mark.parametrize(
    "type_name",
    ["Deleted", "builtins.exec", "", "order", "Order ", None, "📦", "x" * 500, "wave", "wave.open", "wave:open"],
)
async def test_an_unknown_type_is_a_dead_letter_in_the_end_and_nothing_is_imported(
    session: Session, name: str, client: Redis, type_name: str | None
) -> None:
    orders: Queue[Order] = Queue(session, name, Order, max_message_bytes=1000, unread_for=0.001)
    await inject(client, name, b'{"number": 1}', type_name)
    # It comes again, for somebody who has the class; its time is over then.
    assert (await only_letter(orders, comes_again=True))[0] == "unknown_type"
    assert "wave" not in sys.modules  # of the standard library, and used by nobody here


@pytest.mark.parametrize("version", ["2", 0, -1, True, None, 1.5, [1], {}])
async def test_a_version_that_is_none_is_a_dead_letter(
    orders: Queue[Order], name: str, client: Redis, version: object
) -> None:
    await inject(client, name, b'{"number": 1}', v=version)
    assert await only_letter(orders) == ("undecodable", b'{"number": 1}')


async def test_an_unknown_field_is_ignored(orders: Queue[Order], name: str, client: Redis) -> None:
    await inject(client, name, b'{"number": 1, "color": "red"}')
    async with await orders.get() as order:
        assert order == Order(number=1)


async def test_a_deep_nesting_is_refused_and_never_overflows_the_stack(
    session: Session, name: str, client: Redis
) -> None:
    orders: Queue[Order] = Queue(session, name, Order, max_message_bytes=1 << 20)
    await inject(client, name, b'{"number": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert (await only_letter(orders))[0] == "undecodable"


async def test_a_body_over_the_limit_is_a_dead_letter_unread(orders: Queue[Order], name: str, client: Redis) -> None:
    body = b'{"number": 1, "padding": "' + b"x" * 5_000_000 + b'"}'
    await inject(client, name, body)
    reason, kept = await only_letter(orders)
    assert (reason, len(kept)) == ("too_large", len(body))


async def test_duplicate_keys_are_settled_by_the_last(orders: Queue[Order], name: str, client: Redis) -> None:
    await inject(client, name, b'{"number": 1, "number": 2}')
    async with await orders.get() as order:
        assert order.number == 2


@pytest.mark.parametrize(
    "entry", [b"", b"garbage", b"\x00" * 60, b"1" * 60, b"{}" * 40, b"0" * 16 + b"k" * 22 + b"0000000000i999{"]
)
async def test_what_is_no_entry_at_all_does_not_stop_the_queue(
    orders: Queue[Order], name: str, client: Redis, entry: bytes
) -> None:
    if entry[48:49] in (b"i", b"."):  # taken for an entry at first, so its put must have been counted
        await resolved(client.hincrby(f"{{{name}}}:totals", "put", 1))
    await resolved(client.rpush(f"{{{name}}}:pending", entry))
    await orders.put(Order(number=7))
    async with asyncio.timeout(5), await orders.get() as order:
        assert order == Order(number=7)
    async with asyncio.timeout(5):
        await orders.join()
    [letter] = await orders.dead_letters()
    # Its counts change with every hand-out, were it an entry; nothing else does.
    assert (letter.reason, entry[45:] in letter.body) == ("undecodable", True)
    (await take_census(client, name)).check()


@pytest.mark.parametrize(
    "start",
    [b"0" * 16 + b"k" * 22 + b"0000000000.xyz", b"0" * 16 + b"k" * 22 + b"no counts..000", b"k" * 48 + b".000"],
    ids=["length", "counts", "stamp"],
)
async def test_an_entry_without_the_numbers_of_one_does_not_stop_the_queue(
    orders: Queue[Order], name: str, client: Redis, start: bytes
) -> None:
    await resolved(client.hincrby(f"{{{name}}}:totals", "put", 1))
    await resolved(client.rpush(f"{{{name}}}:pending", start + b'{"number": 1}'))
    async with asyncio.timeout(5):
        reason, kept = await only_letter(orders)
    assert (reason, kept.endswith(b'{"number": 1}')) == ("undecodable", True)
    (await take_census(client, name)).check()


async def test_a_known_class_comes_back_as_itself_and_an_unknown_one_is_refused(orders: Queue[Order]) -> None:
    await orders.put(Refund(number=1, reason="late"))
    async with await orders.get() as order:
        assert type(order) is Refund
    with pytest.raises(TypeError, match="Deleted"):
        await orders.put(Deleted(number=1))
    assert (await orders.statistics()).put_total == 1
