"""examples/web, with two uvicorn workers: accepted with 202, known by its id in any process, refused when full."""

import asyncio
import http.client
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from examples.web.pictures import Shrink
from examples.web.server import web
from shared.concurrency import Queue, QueueEmpty, Session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PICTURE = {"path": "a.png", "width": 300}


class Answer(NamedTuple):
    """What a process of the server answered."""

    status: int
    headers: http.client.HTTPMessage
    body: Any


@pytest.fixture
def address(url: str, name: str) -> Iterator[str]:
    with web({"REDIS_URL": url, "PICTURES_QUEUE": name, "PICTURES_MAXSIZE": "3"}) as address:
        yield address.removeprefix("http://")


@pytest.fixture
async def queue(session: Session, name: str) -> Queue[Shrink]:
    """Where the worker stands."""
    return Queue(session, name, Shrink)


def ask(address: str, method: str, path: str, body: object = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        kinds = {"Content-Type": "application/json"} | {
            word.replace("_", "-"): value for word, value in headers.items()
        }
        connection.request(method, path, None if body is None else json.dumps(body), kinds)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, json.loads(answer.read() or b"null"))
    finally:
        connection.close()


async def asked(address: str, method: str, path: str, body: object = None, **headers: str) -> Answer:
    return await asyncio.to_thread(ask, address, method, path, body, **headers)


async def in_each_process(address: str, path: str) -> dict[str, Any]:
    """What each process of the server answers; asked until both have."""
    found: dict[str, Any] = {}
    while len(found) < 2:
        # Several connections at once: one process alone does not take them all.
        for answer in await asyncio.gather(*(asked(address, "GET", path) for _ in range(6))):
            found[answer.headers["X-Process"]] = answer.body
    assert str(os.getpid()) not in found
    return found


async def test_any_process_knows_what_became_of_a_picture(address: str, queue: Queue[Shrink]) -> None:
    accepted = await asked(address, "POST", "/pictures", PICTURE)
    assert accepted.status == 202
    place = accepted.headers["Location"]
    assert place == f"/pictures/{accepted.body['id']}"
    for found in (await in_each_process(address, place)).values():
        assert found["state"] == "accepted"
        assert found["fraction"] is None
    delivery = await queue.get()
    assert delivery.item == Shrink(path="a.png", width=300)
    await delivery.progress(0.5, "half")
    await queue.statistics()
    for found in (await in_each_process(address, place)).values():
        assert (found["state"], found["fraction"], found["text"]) == ("accepted", 0.5, "half")
    await delivery.ack(result={"width": 300, "height": 225})
    for found in (await in_each_process(address, place)).values():
        assert (found["state"], found["result"]) == ("done", {"width": 300, "height": 225})


async def test_dead_cancelled_and_unknown(address: str, queue: Queue[Shrink]) -> None:
    dead, cancelled = [(await asked(address, "POST", "/pictures", PICTURE)).headers["Location"] for _ in range(2)]
    await (await queue.get()).dead_letter("no such picture")
    found = await asked(address, "GET", dead)
    assert (found.status, found.body["state"], found.body["reason"]) == (200, "dead", "no such picture")
    marked = await asked(address, "DELETE", cancelled)
    assert (marked.status, marked.body["state"]) == (202, "accepted")
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()  # a worker comes by
    gone = await asked(address, "DELETE", cancelled)
    assert (gone.status, gone.body["state"]) == (200, "cancelled")
    assert (await asked(address, "GET", cancelled)).body["state"] == "cancelled"
    never = await asked(address, "GET", "/pictures/never")
    assert (never.status, never.body["state"]) == (404, "unknown")
    assert (await asked(address, "GET", "/pictures/no%20id")).status == 404


async def test_the_class_of_the_message_is_the_body_of_the_request(address: str, queue: Queue[Shrink]) -> None:
    wrong = await asked(address, "POST", "/pictures", {"path": "", "width": 0})
    assert wrong.status == 422
    assert {tuple(each["loc"]) for each in wrong.body["detail"]} == {("body", "path"), ("body", "width")}
    for _ in range(2):
        same = await asked(address, "POST", "/pictures", PICTURE, Idempotency_Key="mine")
        assert (same.status, same.body) == (202, {"id": "mine"})
    other = await asked(address, "POST", "/pictures", {**PICTURE, "width": 1}, Idempotency_Key="mine")
    assert other.status == 409
    assert (await asked(address, "POST", "/pictures", PICTURE, Idempotency_Key="no id")).status == 422
    assert await queue.qsize() == 1


async def test_a_full_queue_answers_503_and_says_when_to_try_again(address: str, queue: Queue[Shrink]) -> None:
    for _ in range(3):
        assert (await asked(address, "POST", "/pictures", PICTURE)).status == 202
    full = await asked(address, "POST", "/pictures", PICTURE, Idempotency_Key="later")
    assert (full.status, full.headers["Retry-After"]) == (503, "1")
    assert (await queue.statistics()).puts_waiting == 0
    await (await queue.get()).ack(result={"width": 1, "height": 1})
    assert (await asked(address, "POST", "/pictures", PICTURE, Idempotency_Key="later")).status == 202
    assert await queue.qsize() == 3


async def test_progress_is_streamed_until_the_end(address: str, queue: Queue[Shrink]) -> None:
    place = (await asked(address, "POST", "/pictures", PICTURE)).headers["Location"]
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {place}/events HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
    assert b" 200 " in await reader.readline()
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"text/event-stream" in head

    async def event() -> dict[str, Any]:
        async with asyncio.timeout(20):
            while not (line := await reader.readline()).startswith(b"data: "):
                assert line, "the stream ended"
        found: dict[str, Any] = json.loads(line[6:])
        return found

    assert await event() == {"state": "accepted"}
    delivery = await queue.get()
    for fraction, text in ((0.25, "a quarter"), (0.5, "half")):
        await delivery.progress(fraction, text)
        assert await event() == {"state": "accepted", "fraction": fraction, "text": text}
    await delivery.ack(result={"width": 300, "height": 225})
    assert await event() == {"state": "done", "result": {"width": 300, "height": 225}}
    async with asyncio.timeout(20):
        assert await reader.read() in {b"", b"\n"}
    writer.close()
    await writer.wait_closed()
