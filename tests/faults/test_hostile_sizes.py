"""Sizes and depths have a bound before anything is built of them: in puts, in entries, in errors, on the page."""

import asyncio
import re
import socket
import tracemalloc
from typing import Any, Final

import pytest

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, Session
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.unreadable import Unreadable
from tests.fuzzing.orders import RULES
from tests.instruments.page import watching
from tests.instruments.waiting import until
from tests.instruments.workers import working

MOST: Final = 262_144


def nested(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize(
    "item",
    [nested(300), nested(100_000), 10**5000, -(10**100_000), float("1e999")],
    ids=["300", "100,000", "5,000 digits", "100,000 digits", "1e999"],
)
async def test_what_could_not_be_read_back_is_not_put(session: Session, name: str, item: Any) -> None:
    queue: Queue[Any] = Queue(session, name, Any)
    with pytest.raises(ValueError, match=r"JSON|same|bytes"):
        await queue.put(item)
    assert (await queue.statistics()).put_total == 0


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 250 + b"]" * 250,
        b'{"a":' * 50_000,
        b"9" * 100_000,
        b"-" + b"9" * 5000,
        b'"' + b"x" * 1000,
        b'"\\ud800"',
        b'"\xff"',
    ],
    ids=["lists", "250 levels", "objects", "digits", "negative", "unfinished", "surrogate", "no UTF-8"],
)
def test_a_body_that_is_too_much_is_refused_before_anything_is_built(body: bytes) -> None:
    codec: Codec[Any] = Codec(Any, MOST)
    with pytest.raises(Unreadable) as caught:
        codec.decode(None, body)
    assert caught.value.reason == "undecodable"


@pytest.mark.parametrize("size,is_read", [(MOST - 1, True), (MOST, True), (MOST + 1, False), (50_000_000, False)])
def test_a_body_is_read_up_to_the_limit_and_not_a_byte_beyond(size: int, is_read: bool) -> None:  # noqa: FBT001
    codec: Codec[Any] = Codec(Any, MOST)
    body = b'"' + b"x" * (size - 2) + b'"'
    tracemalloc.start()
    try:
        if is_read:
            assert len(codec.decode(None, body)) == size - 2
        else:
            with pytest.raises(Unreadable, match="too_large"):
                codec.decode(None, body)
            assert tracemalloc.get_traced_memory()[1] < 100_000  # not looked into
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("piece", [b"[]", b"{}", b'""', b"1", b'{"a":{}}'], ids=repr)
def test_what_a_body_becomes_is_some_hundred_times_its_bytes_at_most(piece: bytes) -> None:
    """Nothing is decompressed, and no reference is followed: a message cannot name more than it holds."""
    codec: Codec[Any] = Codec(Any, MOST)
    body = b"[" + b",".join([piece] * ((MOST - 2) // (len(piece) + 1))) + b"]"
    tracemalloc.start()
    try:
        found = codec.decode(None, body)
        assert len(found) > 1000
        assert tracemalloc.get_traced_memory()[1] < 200 * len(body)
    finally:
        tracemalloc.stop()


async def test_an_error_of_any_size_is_kept_short(session: Session, name: str) -> None:
    queue = Queue(session, name, int, max_attempts=2)

    async def fail(_: Delivery[int]) -> None:
        raise ValueError("é" * 20_000_000)

    async with working(queue, fail, rules={int: RULES[next(iter(RULES))]}):
        await queue.put(1)
        await until(queue.statistics, lambda now: now.dead == 1)
    (letter,) = await queue.dead_letters()
    assert len(letter.error) <= 1000
    assert len(letter.first_error or "") <= 300


async def test_a_handler_that_waits_for_room_in_its_own_full_queue_is_ended_by_its_time_limit(
    session: Session, name: str
) -> None:
    queue = Queue(session, name, int, maxsize=1, max_attempts=1)
    handled: list[int] = []

    async def chain(delivery: Delivery[int]) -> None:
        handled.append(delivery.item)
        if delivery.item == 1:
            await queue.put(2)  # there is no room until this handler ends
            await queue.put(3)
            await queue.put(4)

    worker = Worker(queue, chain, concurrency=1, time_limit=0.5)
    running = asyncio.create_task(worker.run())
    await queue.put(1)
    try:
        seen = await until(queue.statistics, lambda now: now.dead == 1 and now.pending == 0 and now.leased == 0)
        assert seen.puts_waiting == 0
        assert (await queue.dead_letters())[0].error.startswith("TimeoutError")
        assert handled[0] == 1
    finally:
        await worker.stop(5)
        await running


@pytest.mark.slow  # a service
@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: y\r\n" % at for at in range(1_000_000)) + b"\r\n",
        b"GET /" + b"x" * 10_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 10_000_000 + b"\r\n\r\n",
        b"\x00" * 100_000,
        b"POST /actions/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100_000,
        b"POST /actions/pause HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"fffffff\r\n" + b"x" * 100_000,
    ],
    ids=["a million headers", "a long path", "a long header", "NUL", "a large body", "large chunks"],
)
def test_a_request_of_any_size_is_refused_and_the_page_goes_on(url: str, request_: bytes) -> None:
    with watching(url, PIPELINE_MONITOR_PASSWORD="correct horse") as page:
        with socket.create_connection(("127.0.0.1", page.port), timeout=20) as visitor:
            try:
                visitor.sendall(request_)
                answer = visitor.recv(100)
            except ConnectionError:
                answer = b""
        assert answer == b"" or re.match(rb"HTTP/1.1 4\d\d ", answer), answer
        assert page.ask("/").status == 200
