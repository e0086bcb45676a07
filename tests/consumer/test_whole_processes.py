"""Handlers in processes do what others do: they put onward by the queue's name, report progress; and idle ones end."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from consumer.testing import delivery_of
from shared.concurrency import Queue, Session
from shared.message import Message
from tests.instruments.handlers import order
from tests.instruments.messages import Errand
from tests.instruments.services import consuming, wait_for
from tests.instruments.waiting import resolved, until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("command_line")]


@pytest.fixture
async def queue(url: str, name: str) -> AsyncIterator[Queue[Message]]:
    async with Session.open(url) as session:
        yield Queue(session, name, Message)


@pytest.fixture
async def onward(url: str, name: str) -> AsyncIterator[Queue[Message]]:
    async with Session.open(url) as session:
        yield Queue(session, "next", Message, group=name)


ONE = "@handles(Errand, executor='process', attempts=2, backoff=Backoff(first=0))\ndef f(delivery):\n    pass\n"
MANY = (
    "@handles(Errand, executor='process', attempts=2, backoff=Backoff(first=0), batch=Gather(most=2, within=60))\n"
    "def f(batch):\n    for delivery in batch:\n        one(delivery)\n"
)
PUTS = """
def one(delivery):
    text = delivery.item.text
    for number in range(3):
        delivery.effects.put("NAME/next", Errand(text=f"{text} {number}"), key=text)
    for number in range(2):
        delivery.effects.put_unique("NAME/next", Errand(text=f"one {text} {number}"), "n", replace=True, limit="z")
    delivery.effects.incrby("{NAME}:handled", 1)
    if delivery.attempt == 1:
        raise LookupError("not the first time")


"""


@pytest.mark.parametrize("handler", [ONE.replace("pass", "one(delivery)"), MANY], ids=["one", "batch"])
async def test_what_it_puts_onward_goes_in_with_its_effects_and_once(
    copy: Path, url: str, queue: Queue[Message], onward: Queue[Message], handler: str
) -> None:
    await queue.put_many([order("a"), order("b")])
    with consuming(copy, PUTS.replace("NAME", queue.name) + handler, url, queue.name):
        async with asyncio.timeout(30):
            await queue.join()
    found = [await onward.get_nowait() for _ in range(3)]  # the first of each key, and one of the name
    said = sorted((each.item.text, each.key) for each in found if isinstance(each.item, Errand))
    assert said[:2] == [("a 0", "a"), ("b 0", "b")]
    # That of the last acknowledgement; alone, the two are handled at a time.
    assert said[2] in ([("one b 1", None)] if handler is MANY else [("one a 1", None), ("one b 1", None)])
    for delivery in found:
        await delivery.ack()
    assert (await onward.statistics()).put_total == 7
    assert (await queue.statistics()).nacked_total == 2


async def test_effects_of_a_process_that_fails_are_forgotten(
    copy: Path, url: str, queue: Queue[Message], onward: Queue[Message], client: Redis
) -> None:
    await queue.put(order("a"))
    handlers = PUTS.replace("NAME", queue.name).replace("delivery.attempt == 1", "True")
    with consuming(copy, handlers + ONE.replace("pass", "one(delivery)"), url, queue.name):
        async with asyncio.timeout(30):
            await queue.join()
    assert (await queue.statistics()).dead == 1
    assert (await onward.statistics()).put_total == 0
    assert await resolved(client.get(f"{{{queue.name}}}:handled")) is None


@pytest.mark.parametrize(
    "call,error",
    [
        ("delivery.effects.put('no name', Errand(text='x'))", "ValueError: must be 1 to 64 of the characters"),
        ("delivery.effects.put('next', 'text')", "TypeError: a queue of the service holds messages, not str"),
        ("delivery.effects.put('next', Errand(text='x' * 2000))", "MessageTooLarge: "),
        ("delivery.effects.put_unique('next', Errand(text='x'), '')", "ValueError: a name is a text of 1 to 1,000"),
        ("delivery.effects.put_unique('next', Errand(text='x'), 'n', longest=2.0)", "ValueError: longest bounds calm"),
        ("delivery.report(2)", "ValueError: a fraction is a number from 0 to 1, not 2"),
    ],
)
async def test_what_cannot_be_put_or_reported_is_told_where_it_is_asked_for(
    copy: Path, url: str, queue: Queue[Message], call: str, error: str
) -> None:
    await queue.put(order("a"))
    more = {"PIPELINE_MAX_MESSAGE_BYTES": "1000"}
    with consuming(copy, ONE.replace("pass", call), url, queue.name, **more):
        async with asyncio.timeout(30):
            await queue.join()
    (letter,) = await queue.dead_letters()
    assert letter.error.startswith(error)


def test_elsewhere_a_queue_is_no_name() -> None:
    delivery = delivery_of(Errand(text="x"))
    with pytest.raises(TypeError, match=re.escape("pipeline.queues['mail']")):
        delivery.effects.put("mail", delivery.item)


REPORTS = """
    delivery.report(0.25, "a quarter")
    wait_for_answer(delivery.item.file)
    return "done"


def wait_for_answer(path):
    while not os.path.exists(path):
        time.sleep(0.005)
"""
HEADS = {
    "process": "@handles(Errand, executor='process')\ndef f(delivery):",
    "thread": "@handles(Errand)\ndef f(delivery):",
    "batch": "@handles(Errand, executor='process', batch=Gather(most=1, within=1))\ndef f(batch):\n    (delivery,) = batch",
}


@pytest.mark.parametrize("place", HEADS)
async def test_what_it_reports_reaches_the_submitter_meanwhile(
    copy: Path, url: str, queue: Queue[Message], tmp_path: Path, place: str
) -> None:
    heard: list[tuple[float, str]] = []
    go_on = tmp_path / "go on"
    handlers = HEADS[place] + REPORTS
    if place == "batch":
        handlers = handlers.replace('return "done"', 'return ["done"]')
    with consuming(copy, handlers, url, queue.name):
        future = await queue.submit(order("x", go_on), on_progress=lambda *said: heard.append(said))
        await until(lambda: asyncio.sleep(0, heard), bool)
        assert not future.done()
        go_on.touch()
        assert await future == "done"
    assert heard == [(0.25, "a quarter")]


PIDS = """
import sys
import threading
from pathlib import Path


def told(event, arguments):
    if event == "subprocess.Popen":
        os.write(2, f"started in {threading.current_thread().name}\\n".encode())


sys.addaudithook(told)


@handles(Errand, executor="process")
def f(delivery):
    while delivery.item.file and not os.path.exists(delivery.item.file):
        time.sleep(0.005)
    return os.getpid()
"""


async def test_a_process_without_work_is_ended_and_a_busy_one_is_not(
    copy: Path, url: str, queue: Queue[Message], tmp_path: Path
) -> None:
    with consuming(copy, PIDS, url, queue.name, PIPELINE_PROCESS_IDLE="0.3") as service:
        pid = await (await queue.submit(order("x")))
        await until(lambda: asyncio.sleep(0, Path(f"/proc/{pid}").exists()), lambda there: not there)
        busy = await queue.submit(order("x", tmp_path / "go on"))
        other = await (await queue.submit(order("x")))  # ended while the first is at work, which takes longer
        await until(lambda: asyncio.sleep(0, Path(f"/proc/{other}").exists()), lambda there: not there)
        (tmp_path / "go on").touch()
        assert await busy not in {pid, other}
        assert service.poll() is None
        service.send_signal(signal.SIGTERM)
        _, said = await asyncio.to_thread(service.communicate, 20)
    assert service.returncode == 0, said


async def test_the_loop_goes_on_while_a_process_is_started(copy: Path, url: str, queue: Queue[Message]) -> None:
    with consuming(copy, PIDS, url, queue.name) as service:
        future = await queue.submit(order("x"))
        *_, line = await asyncio.to_thread(wait_for, service, "started in")
        await future
    assert line == "started in weir-starts\n"


async def test_log_lines_of_a_process_name_the_queue(copy: Path, url: str, queue: Queue[Message]) -> None:
    handlers = ONE.replace("@handles(Errand", f"@handles(Errand, queue='{queue.name}-mail'")
    handlers = handlers.replace("pass", "__import__('shared.logs').logs.Log('shop').info('begins')")
    async with Session.open(url) as session:
        await Queue(session, f"{queue.name}-mail", Message).put(order("x"))
        with consuming(copy, handlers, url, queue.name) as service:
            *_, line = await asyncio.to_thread(wait_for, service, "begins")
    assert json.loads(line)["queue"] == f"{queue.name}-mail"
