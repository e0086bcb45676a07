"""The log of a message: all of its life by its id, and what handles it on every line that its handler writes."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from shared.concurrency import Queue, Session
from shared.message import Message
from tests.instruments.handlers import order
from tests.instruments.services import consuming, running, wait_for

FAILS = """
@handles(Errand, attempts=2, backoff=Backoff(first=0, longest=0))
async def fail(delivery, pipeline):
    raise LookupError("nothing there")
"""

SPEAKS = """
import logging
import structlog

async def deeper():
    await asyncio.sleep(0)
    logging.getLogger("deeper").warning("from a task, %s", "old style")

@handles(Errand)
{begins}({arguments}):
    structlog.get_logger("mine").warning("from the handler", words=3, id="my own")
    logging.getLogger("theirs").warning("of old")
    {then}
"""


@pytest.fixture
async def queue(session: Session, name: str) -> Queue[Message]:
    """The queue of the service."""
    return Queue(session, name, Message)


def lines(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


async def test_all_of_a_message_is_found_by_its_id(copy: Path, url: str, name: str, queue: Queue[Message]) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_LOG_LEVEL": "debug", "PIPELINE_ORDERS": "3"}
    with running("producer", **settings) as producer:
        _, said = producer.communicate(timeout=90)
    with consuming(copy, FAILS, url, name, PIPELINE_LOG_LEVEL="debug") as consumer:
        await queue.join()
        consumer.terminate()
        _, more = consumer.communicate(timeout=90)
    said += more
    ids = [line["id"] for line in lines(said) if line["event"] == "a message is put"]
    assert len(ids) == 3
    for id_ in ids:
        life = lines("\n".join(line for line in said.splitlines() if id_ in line))
        assert [(line["event"], line["level"]) for line in life] == [
            ("a message is put", "debug"),
            ("a delivery starts", "debug"), ("a delivery ends", "debug"), ("the handler failed", "warning"),
            ("a delivery starts", "debug"), ("a delivery ends", "debug"),
            ("the handler failed for the last time", "warning"), ("the message is a dead letter", "error"),
        ]  # fmt: skip
        assert {line["queue"] for line in life} == {name}
        assert {line["type"] for line in life} == {"Errand"}
        assert {line["handler"] for line in life[1:-1]} == {"consumer.handlers:fail"}
        assert [line["attempt"] for line in life[1:-1]] == [1, 1, 1, 2, 2, 2]
        assert [0 <= line["seconds"] < 20 for line in (life[2], life[5])] == [True, True]
        assert life[2]["outcome"] == "raised"
        assert "again_in" in life[3]
        assert "again_in" not in life[6]
        assert (life[-1]["reason"], life[-1]["error"]) == ("failed", "LookupError: nothing there")


@pytest.mark.parametrize(
    "begins,then",
    [
        ("async def speak", "await asyncio.create_task(deeper())"),
        ("def speak", "asyncio.run(deeper())"),
    ],
)
async def test_a_handlers_own_lines_name_what_it_handles(
    copy: Path, url: str, queue: Queue[Message], begins: str, then: str
) -> None:
    await queue.put(order("x"), id="the-id")
    handlers = SPEAKS.format(begins=begins, arguments="delivery, pipeline", then=then)
    assert_named(await said_by(copy, handlers, url, queue.name, queue), queue.name)


async def test_lines_of_a_handlers_process_name_what_it_handles(
    copy: Path, url: str, name: str, queue: Queue[Message]
) -> None:
    await queue.put(order("x"), id="the-id")
    handlers = SPEAKS.format(begins="def speak", arguments="delivery", then="asyncio.run(deeper())")
    handlers = handlers.replace("@handles(Errand)", '@handles(Errand, executor="process")')
    assert_named(await said_by(copy, handlers, url, name, queue), name)


async def test_lines_of_a_batch_name_its_first_delivery(copy: Path, url: str, name: str, queue: Queue[Message]) -> None:
    await queue.put(order("x"), id="the-id")
    await queue.put(order("y"))
    handlers = SPEAKS.format(
        begins="async def speak", arguments="batch: Batch[Errand], pipeline", then="await deeper()"
    )
    handlers = handlers.replace("@handles(Errand)", "@handles(Errand, batch=Gather(most=2, within=10))")
    found = await said_by(copy, handlers, url, name, queue, PIPELINE_LOG_LEVEL="debug")
    assert_named(found, name, batch=2)
    # Each is told by itself, so that its id is found.
    starts = [line["id"] for line in found if line["event"] == "a delivery starts"]
    assert len(starts) == len(set(starts)) == 2
    assert [line["outcome"] for line in found if line["event"] == "a delivery ends"] == ["returned"] * 2


async def said_by(
    copy: Path, handlers: str, url: str, name: str, queue: Queue[Message], **settings: str
) -> list[dict[str, Any]]:
    with consuming(copy, handlers, url, name, **settings) as service:
        await queue.join()
        service.terminate()
        _, said = service.communicate(timeout=90)
    return lines(said)


def assert_named(found: list[dict[str, Any]], name: str, **more: int) -> None:
    named = {"type": "Errand", "handler": "consumer.handlers:speak", "queue": name, "attempt": 1, **more}
    by_event = {line["event"]: line for line in found}
    for event, id_ in (("from the handler", "my own"), ("of old", "the-id"), ("from a task, old style", "the-id")):
        assert {word: by_event[event].get(word) for word in (*named, "id")} == {**named, "id": id_}
    assert by_event["from the handler"]["words"] == 3
    # Those of the service are about no message.
    assert not any("handler" in by_event[event] for event in ("consuming", "stopping", "drained"))


@pytest.mark.parametrize(
    "module,begins", [("consumer", "consuming"), ("producer", "producing"), ("producer.clock", "the clock runs")]
)
def test_a_service_says_who_and_where_it_is(url: str, name: str, module: str, begins: str) -> None:
    with running(module, REDIS_URL=url, PIPELINE_QUEUE=name, PIPELINE_MAXSIZE="5") as service:
        said = json.loads(wait_for(service, begins)[-1])
        assert (said["pid"], said["host"], len(said["owner"])) == (service.pid, socket.gethostname(), 12)


async def test_where_debug_is_off_nothing_is_written_of_a_delivery(
    copy: Path, url: str, name: str, queue: Queue[Message]
) -> None:
    await queue.put(order("x"))
    handlers = "@handles(Errand)\nasync def nothing(delivery, pipeline):\n    pass\n"
    found = await said_by(copy, handlers, url, name, queue)
    assert [line["event"] for line in found] == ["consuming", "stopping", "drained"]
