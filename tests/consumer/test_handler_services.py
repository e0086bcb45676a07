"""The consumer service with handlers of every kind, as an OS process: what it says, and how it ends."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from shared.message import Message
from tests.instruments.handlers import order
from tests.instruments.services import consuming, wait_for
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def queue(url: str, name: str) -> AsyncIterator[Queue[Message]]:
    async with Session.open(url) as session:
        yield Queue(session, name, Message)


HANGING = {
    "loop": "@handles(Errand)\nasync def hang(delivery, pipeline):\n    print_it()\n    await asyncio.sleep(1000)\n",
    "thread": "@handles(Errand)\ndef hang(delivery, pipeline):\n    print_it()\n    time.sleep(1000)\n",
    "late thread": (
        "@handles(Errand, time_limit=0.1)\ndef hang(delivery, pipeline):\n    print_it()\n    time.sleep(1000)\n"
    ),
    "process": ("@handles(Errand, executor='process')\ndef hang(delivery):\n    print_it()\n    time.sleep(1000)\n"),
}
PRINT = "def print_it():\n    os.write(2, b'hanging\\n')\n\n\n"


@pytest.mark.slow
async def test_a_service_that_cannot_give_back_what_it_held_says_so_and_until_when(
    copy: Path, server: EmbeddedServer, name: str
) -> None:
    as_weir = server.url.replace("unix://", "unix://weir:secret@")
    async with Session.open(server.url) as session, Redis.from_url(server.url) as client:
        may = partial(client.execute_command, "ACL", "SETUSER", "weir")
        await may("on", ">secret", "~*", "&*", "+@all")
        queue = Queue(session, name, Message)
        await queue.put(order("x"))
        with consuming(copy, PRINT + HANGING["loop"], as_weir, name, PIPELINE_GRACE="0.2") as service:
            await asyncio.to_thread(wait_for, service, "hanging")
            await may("resetkeys", f"~{{{name}}}:resources:*")  # the application's own
            service.send_signal(signal.SIGTERM)
            _, said = await asyncio.to_thread(service.communicate, timeout=90)
        assert service.returncode == 1, said
        (line,) = [json.loads(line) for line in said.splitlines() if "stay leased" in line and line.startswith("{")]
        assert (line["level"], line["queue"], line["count"]) == ("error", name, 1)
        assert abs((datetime.fromisoformat(line["until"]) - datetime.now(UTC)).total_seconds()) < 10
        assert "ACL" in line["problem"]
        assert said.splitlines()[-1].startswith("consumer: ")
        assert "Traceback" not in said
        assert (await queue.statistics()).leased == 1


@pytest.mark.slow
async def test_a_service_whose_session_is_over_while_it_drains_says_what_it_lost(
    copy: Path, url: str, name: str, queue: Queue[Message]
) -> None:
    await queue.put(order("x"))
    more = {"PIPELINE_GRACE": "60", "PIPELINE_SESSION_TTL": "1"}
    async with Redis.from_url(url) as client:
        with consuming(copy, PRINT + HANGING["loop"], url, name, **more) as service:
            await asyncio.to_thread(wait_for, service, "hanging")
            await until(partial(client.zcard, f"{{{name}}}:idle"), lambda waiting: waiting == 1)
            service.send_signal(signal.SIGTERM)
            await asyncio.to_thread(wait_for, service, "stopping")
            await until(partial(client.zcard, f"{{{name}}}:idle"), lambda waiting: waiting == 0)  # it drains
            service.send_signal(signal.SIGSTOP)
            async with await queue.get() as item:  # recovered
                assert item == order("x")
            service.send_signal(signal.SIGCONT)
            _, said = await asyncio.to_thread(service.communicate, timeout=90)
    assert service.returncode == 1, said
    assert said.splitlines()[-1].startswith("consumer: 1 deliveries were lost, for their session passed its deadline")
    assert "Traceback" not in said


@pytest.mark.slow
async def test_what_a_service_lost_before_it_drained_is_no_concern_of_its_drain(
    copy: Path, url: str, name: str, queue: Queue[Message]
) -> None:
    await queue.put(order("x"))
    more = {"PIPELINE_GRACE": "60", "PIPELINE_SESSION_TTL": "1"}
    with consuming(copy, PRINT + HANGING["loop"], url, name, **more) as service:
        await asyncio.to_thread(wait_for, service, "hanging")
        service.send_signal(signal.SIGSTOP)
        async with await queue.get() as item:
            assert item == order("x")
        service.send_signal(signal.SIGCONT)
        await asyncio.to_thread(wait_for, service, "another consumer handles")
        service.send_signal(signal.SIGTERM)
        _, said = await asyncio.to_thread(service.communicate, timeout=90)
    assert service.returncode == 0, said


@pytest.mark.parametrize("place", HANGING)
async def test_a_service_whose_handler_hangs_drains_within_its_grace(
    copy: Path, url: str, name: str, queue: Queue[Message], place: str
) -> None:
    # It ended with a traceback once, when a handler had not finished.
    await queue.put(order("x"))
    with consuming(copy, PRINT + HANGING[place], url, name, PIPELINE_GRACE="0.2") as service:
        wait_for(service, "hanging" if place != "late thread" else "cannot be stopped")
        service.send_signal(signal.SIGTERM)
        _, said = service.communicate(timeout=90)
    assert service.returncode == 0, said
    assert "Traceback" not in said
    statistics = await queue.statistics()
    assert (statistics.leased, statistics.delayed) == (0, 1)
    assert statistics.nacked_total == (place == "late thread")


@pytest.mark.slow
async def test_a_handler_that_kills_its_service_becomes_a_dead_letter_and_drags_no_other_along(
    copy: Path, url: str, name: str, queue: Queue[Message]
) -> None:
    handlers = (
        "@handles(Errand)\nasync def obey(delivery, pipeline):\n"
        "    if delivery.item.text == 'exit':\n        os._exit(7)\n"
    )
    await queue.put_many([order("exit"), *[order("return")] * 9])
    deaths = 0

    async def done() -> bool:
        statistics = await queue.statistics()
        return statistics.acked_total + statistics.dead == 10

    async def over() -> bool:
        return service.poll() is not None or await done()

    while not await done():
        with consuming(copy, handlers, url, name, PIPELINE_SESSION_TTL="1") as service:
            await until(over, lambda over: over, seconds=90)
            deaths += service.poll() == 7
    (letter,) = await queue.dead_letters()
    assert (letter.reason, letter.attempt) == ("crashed", 5)
    assert deaths == 5
    assert (await queue.statistics()).acked_total == 9


STRAY = """
async def stray(text):
    if text == "exit":
        raise SystemExit(0)
    if text == "interrupt":
        raise KeyboardInterrupt
    asyncio.get_running_loop().stop()


@handles(Errand, attempts=2, backoff=Backoff(first=0))
async def start(delivery, pipeline):
    if delivery.item.text != "return":
        await asyncio.gather(asyncio.create_task(stray(delivery.item.text)))
"""


async def test_a_task_that_a_handler_starts_does_not_end_its_service(
    copy: Path, url: str, name: str, queue: Queue[Message]
) -> None:
    await queue.put_many([order("exit"), order("interrupt"), order("stop"), *[order("return")] * 9])
    with consuming(copy, STRAY, url, name) as service:
        async with asyncio.timeout(100):
            await queue.join()
        assert service.poll() is None
        service.send_signal(signal.SIGTERM)
        _, said = service.communicate(timeout=90)
    assert service.returncode == 0, said
    assert "something has ended the event loop" in said
    letters = {(letter.reason, letter.error, letter.failures) for letter in await queue.dead_letters()}
    assert letters == {("failed", "SystemExit: 0", 2), ("failed", "KeyboardInterrupt", 2)}
    assert (await queue.statistics()).acked_total == 10


async def test_a_wrong_handler_is_advice_and_2(copy: Path, url: str, name: str) -> None:
    for handlers, advice in (
        (
            "@handles(Errand, attempts=0)\nasync def f(delivery, pipeline): ...\n",
            "attempts=0: write a whole number",
        ),
        ("@handles(Errand)\nasync def f(): ...\n", r"f is called with (delivery) or (delivery, pipeline)"),
        ("@handles(Errand)\nasync def f(errand: Errand): ...\n", r"write `errand: Delivery[Errand]`"),
        ("@handles(Errand, executor='process')\nasync def f(delivery): ...\n", "write `def f(delivery)`"),
    ):
        with consuming(copy, handlers, url, name) as service:
            _, said = service.communicate(timeout=90)
        assert service.returncode == 2, said
        (line,) = said.splitlines()
        assert line.startswith("consumer: ")
        assert advice in line


@pytest.mark.parametrize(
    "head",
    [
        "@handles(Errand, attempts=1)\nasync def obey(delivery, pipeline):\n",
        "@handles(Errand, attempts=1)\ndef obey(delivery, pipeline):\n",
        "@handles(Errand, attempts=1, executor='process')\ndef obey(delivery):\n",
    ],
)
async def test_the_log_tells_what_became_of_a_message(
    copy: Path, url: str, name: str, queue: Queue[Message], head: str
) -> None:
    handlers = head + (
        "    if delivery.item.text == 'retry':\n        raise Retry(after=1) from KeyError('busy')\n"
        "    if delivery.item.text == 'reject':\n        raise Reject('unwanted')\n"
        "    raise LookupError('nothing there')\n"
    )
    await queue.put_many([order("retry"), order("reject"), order("fail")])
    with consuming(copy, handlers, url, name) as service:
        await queue.join()
        service.terminate()
        _, said = service.communicate(timeout=90)
    lines = {
        word: [line for line in said.splitlines() if word in line]
        for word in ("requested a retry", "handler rejected", "handler failed")
    }
    assert {word: len(found) for word, found in lines.items()} == dict.fromkeys(lines, 1)
    assert '"info"' in lines["requested a retry"][0]
    assert "busy" in lines["requested a retry"][0]
    assert "unwanted" in lines["handler rejected"][0]
    assert "LookupError: nothing there" in lines["handler failed"][0]
    assert said.count("Traceback") == 1
    assert "in obey" in lines["handler failed"][0]
    # Each attempt was the last: none is made again, and each is told to be dead, at the level that wakes somebody.
    assert "again_in" not in said
    dead = [json.loads(line) for line in said.splitlines() if "the message is a dead letter" in line]
    assert sorted((line["reason"], line["error"], line["type"], line["level"]) for line in dead) == [
        ("failed", "KeyError: 'busy'", "Errand", "error"),
        ("failed", "LookupError: nothing there", "Errand", "error"),
        ("unwanted", "", "Errand", "error"),
    ]
    assert "processes.py" not in said


async def test_a_handler_that_blocks_the_loop_is_named(copy: Path, url: str, name: str, queue: Queue[Message]) -> None:
    handlers = "@handles(Errand)\nasync def block(delivery, pipeline):\n    time.sleep(1)\n"
    await queue.put(order("x"))
    with consuming(copy, handlers, url, name) as service:
        wait_for(service, "a handler blocks the event loop")
        await queue.join()
        service.terminate()
        _, said = service.communicate(timeout=90)
    assert '"handler": "consumer.handlers:block"' in said
    assert "the event loop turns again" in said
    assert os.fspath(copy / "consumer" / "handlers.py") in said
