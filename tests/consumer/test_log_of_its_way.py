"""What a log says of a message beside its deliveries: where it waited, what it became, what came of it."""

import asyncio
import json
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.clock.deferred import Deferred
from shared.concurrency import Queue, QueueShutDown, Session
from shared.concurrency.session.log import LogLine
from shared.message import Message
from tests.instruments.handlers import order
from tests.instruments.services import consuming, wait_for
from tests.instruments.waiting import until

Lines = Callable[[], list[dict[str, Any]]]

CRASHES = """
@handles(Errand)
async def crash(delivery, pipeline):
    if delivery.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """The lines of the engine and of the clock at debug so far: each its fields, and the text as `event`."""
    for logger in ("weir.queues", "weir.clock"):
        caplog.set_level(logging.DEBUG, logger=logger)
    return lambda: [
        {"event": record.msg.text, **record.msg.fields} for record in caplog.records if isinstance(record.msg, LogLine)
    ]


def events(lines: list[dict[str, Any]], id_: str) -> list[str]:
    """The texts of the lines in which an id stands, in order."""
    return [line["event"] for line in lines if id_ in json.dumps(line)]


@pytest.fixture
async def queue(session: Session, name: str) -> Queue[Message]:
    """A queue with a bound."""
    return Queue(session, name, Message, maxsize=1)


async def test_a_forwarded_message_is_found_by_the_id_of_the_one_it_came_from(
    session: Session, name: str, queue: Queue[Message], lines: Lines
) -> None:
    second = Queue(session, f"{name}-2", Message)
    await queue.put(order("x"), id="first")
    delivery = await queue.get()
    async with delivery:
        delivery.effects.put(second, order("y"))
    next_one = await second.get()
    await next_one.ack()
    (forwarded,) = [line for line in lines() if line["event"] == "a message is forwarded"]
    assert forwarded == {
        "event": "a message is forwarded", "queue": f"{name}-2", "id": next_one.id, "type": "Errand", "by": "first",
    }  # fmt: skip
    assert events(lines(), "first") == ["a message is put", "a message is forwarded"]
    assert events(lines(), next_one.id) == ["a message is forwarded", "a delivery is settled"]


async def test_what_is_refused_is_not_forwarded(
    session: Session, name: str, queue: Queue[Message], lines: Lines
) -> None:
    second = Queue(session, f"{name}-2", Message)
    await second.shutdown()
    await queue.put(order("x"), id="first")
    with pytest.raises(Exception, match="shut down"):
        async with (delivery := await queue.get()):
            delivery.effects.put(second, order("y"))
    assert events(lines(), "first") == ["a message is put", "a delivery is settled"]
    assert lines()[-1]["how"] == "nack"


async def test_each_way_to_settle_says_which(queue: Queue[Message], lines: Lines) -> None:
    for id_ in ("acked", "nacked", "given-up", "left"):
        await queue.put(order("x"), id=id_)
        delivery = await queue.get()
        if id_ == "acked":
            await delivery.ack()
        elif id_ == "nacked":
            await delivery.nack(delay=0.001)
            await (await queue.get()).ack()
        elif id_ == "given-up":
            await delivery.dead_letter("why")
        else:
            async with delivery:
                pass
    settled = [line for line in lines() if line["event"] == "a delivery is settled"]
    assert [(line["id"], line["attempt"], line["how"], line.get("again_in")) for line in settled] == [
        ("acked", 1, "ack", None), ("nacked", 1, "nack", 0.001), ("nacked", 2, "ack", None),
        ("given-up", 1, "dead_letter", None), ("left", 1, "ack", None),
    ]  # fmt: skip


async def test_a_put_that_waits_says_how_its_wait_ends(queue: Queue[Message], lines: Lines) -> None:
    await queue.put(order("fills it"))
    admitted = asyncio.create_task(queue.put(order("x"), id="admitted"))
    withdrawn = asyncio.create_task(queue.put(order("x"), id="withdrawn"))
    failed = asyncio.create_task(queue.put(order("x"), id="failed"))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 3)
    withdrawn.cancel()
    await asyncio.wait({withdrawn})
    await (await queue.get()).ack()
    await admitted
    await queue.shutdown()
    with pytest.raises(QueueShutDown):
        await failed
    assert events(lines(), "admitted")[:2] == ["a put waits for room", "a message is put"]
    assert events(lines(), "withdrawn") == ["a put waits for room", "a put that waited is withdrawn"]
    assert events(lines(), "failed") == ["a put waits for room", "a put that waited has failed"]


async def test_a_message_that_is_deferred_is_found_before_a_clock_has_put_it(
    client: Redis, name: str, lines: Lines
) -> None:
    deferred = Deferred(client, name, 1000)
    for _ in range(2):  # the second changes nothing
        await deferred.schedule(order("x"), None, 60.0, "tomorrow")
    (line,) = [line for line in lines() if line.get("id") == "tomorrow"]
    assert (line["event"], line["type"], line["queue"]) == ("a message is deferred", "Errand", name)
    assert await deferred.unschedule("tomorrow")


@pytest.mark.slow
async def test_a_delivery_after_a_crash_says_how_many_there_were(
    copy: Path, url: str, name: str, session: Session
) -> None:
    queue = Queue(session, name, Message)
    await queue.put(order("x"), id="deadly")
    settings = {"PIPELINE_LOG_LEVEL": "debug", "PIPELINE_SESSION_TTL": "1"}
    with consuming(copy, CRASHES, url, name, **settings) as first:
        assert "crashes" not in json.loads(wait_for(first, "a delivery starts")[-1])
        assert first.wait(timeout=20) == -signal.SIGKILL
    with consuming(copy, CRASHES, url, name, **settings) as second:
        said = json.loads(wait_for(second, "a delivery starts")[-1])
        assert (said["id"], said["attempt"], said["crashes"]) == ("deadly", 2, 1)
        await queue.join()
        os.kill(second.pid, signal.SIGTERM)
        assert second.wait(timeout=20) == 0
