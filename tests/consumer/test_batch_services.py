"""The consumer service with handlers of batches, as OS processes: on the loop, in threads, in processes; killed."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.message import Message
from tests.instruments.handlers import order
from tests.instruments.services import Service, consuming, wait_for
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def queue(url: str, name: str) -> AsyncIterator[Queue[Message]]:
    async with Session.open(url) as session:
        yield Queue(session, name, Message)


HEADS = {
    "loop": "@handles(Errand, {rules})\nasync def many(batch: Batch[Errand], pipeline: Pipeline):\n",
    "thread": "@handles(Errand, {rules})\ndef many(batch: Batch[Errand], pipeline: Pipeline):\n",
    "process": "@handles(Errand, executor='process', {rules})\ndef many(batch: Batch[Errand]):\n",
}
OBEY = """
    for delivery in batch:
        delivery.effects.hincrby("{{KEY}}:handled", str(delivery.item.part), 1)
        if delivery.item.text == "fail":
            batch.fail(delivery, LookupError(f"part {delivery.item.part}"))
        if delivery.item.text == "reject":
            batch.fail(delivery, Reject("unwanted"))
        if delivery.item.text == "later" and delivery.attempt == 1:
            batch.fail(delivery, Retry(after=0.01))
    return [f"{len(batch)} {delivery.item.part}" for delivery in batch]
"""


async def handled(client: Redis, name: str) -> dict[int, int]:
    """How often the effects of each part were written."""
    found: Any = client.hgetall(f"{{{name}}}:handled")
    return {int(part): int(times) for part, times in (await found).items()}


@pytest.mark.parametrize("place", HEADS)
async def test_batches_work_wherever_handlers_run(
    copy: Path, url: str, queue: Queue[Message], client: Redis, place: str
) -> None:
    name = queue.name
    head = HEADS[place].format(rules="batch=Gather(most=6, within=0.5), attempts=2, backoff=Backoff(first=0)")
    with consuming(copy, head + OBEY.replace("{KEY}", name), url, name) as service:
        texts = ["return", "fail", "reject", "later", "return", "return"]
        parts = [order(text).model_copy(update={"part": part}) for part, text in enumerate(texts)]
        futures = [await queue.submit(part) for part in parts]
        async with asyncio.timeout(100):
            results = await asyncio.gather(*futures, return_exceptions=True)
            await queue.join()
        service.send_signal(signal.SIGTERM)
        _, said = service.communicate(timeout=90)
    assert service.returncode == 0, said
    assert [results[part] for part in (0, 4, 5)] == ["6 0", "6 4", "6 5"]
    assert str(results[3]).endswith(" 3")  # alone or with the other one that failed
    assert "LookupError: part 1" in str(results[1])
    assert "unwanted" in str(results[2])
    assert await handled(client, name) == {0: 1, 3: 1, 4: 1, 5: 1}
    assert sorted((letter.reason, letter.failures) for letter in await queue.dead_letters()) == [
        ("failed", 2), ("unwanted", 0),
    ]  # fmt: skip


@pytest.mark.parametrize("place", HEADS)
async def test_a_batch_that_raises_is_one_line_in_the_log_and_each_fails(
    copy: Path, url: str, name: str, queue: Queue[Message], place: str
) -> None:
    head = HEADS[place].format(rules="batch=Gather(most=5, within=0.5), attempts=1")
    await queue.put_many([order("x") for _ in range(5)])
    with consuming(copy, head + "    raise LookupError('no table')\n", url, name) as service:
        async with asyncio.timeout(100):
            await queue.join()
        service.send_signal(signal.SIGTERM)
        _, said = service.communicate(timeout=90)
    assert service.returncode == 0, said
    failed = [json.loads(line) for line in said.splitlines() if "the handler failed" in line]
    assert [(line["batch"], line["error"]) for line in failed] == [(5, "LookupError: no table")]
    assert said.count("Traceback") == 1
    assert [letter.error for letter in await queue.dead_letters()] == ["LookupError: no table"] * 5


KILLING = """
    if any(delivery.item.text == "kill" for delivery in batch):
        os.kill(PID, signal.SIGKILL)
    for delivery in batch:
        delivery.effects.hincrby("{{KEY}}:handled", str(delivery.item.part), 1)
"""


async def served_until_done(copy: Path, handlers: str, url: str, name: str, queue: Queue[Message], **more: str) -> int:
    """Start the service again each time that it was killed, until the queue is empty; how often it was."""
    killed = 0

    async def done() -> bool:
        statistics = await queue.statistics()
        return statistics.pending + statistics.leased + statistics.delayed == 0

    while not await done():
        with consuming(copy, handlers, url, name, PIPELINE_SESSION_TTL="1", **more) as service:

            async def over(service: Service = service) -> bool:
                return service.poll() is not None or await done()

            await until(over, lambda over: over, seconds=60)
            killed += service.poll() == -signal.SIGKILL
    return killed


@pytest.mark.slow
@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_a_batch_that_kills_its_service_falls_apart_and_one_message_is_a_dead_letter(
    copy: Path, url: str, queue: Queue[Message], client: Redis, place: str
) -> None:
    name = queue.name
    parts = [order("return").model_copy(update={"part": part}) for part in range(12)]
    parts[5] = parts[5].model_copy(update={"text": "kill"})
    await queue.put_many(parts)
    head = HEADS[place].format(rules="batch=Gather(most=12, within=0.2)")
    handlers = head + KILLING.replace("{KEY}", name).replace("PID", "os.getpid()")
    killed = await served_until_done(copy, handlers, url, name, queue)
    (letter,) = await queue.dead_letters()
    assert (letter.reason, json.loads(letter.body)["part"]) == ("crashed", 5)
    assert killed == 5
    assert await handled(client, name) == {part: 1 for part in range(12) if part != 5}


@pytest.mark.slow
async def test_a_batch_that_kills_its_own_process_falls_apart_and_the_service_goes_on(
    copy: Path, url: str, name: str, queue: Queue[Message], client: Redis
) -> None:
    parts = [order("return").model_copy(update={"part": part}) for part in range(12)]
    parts[5] = parts[5].model_copy(update={"text": "kill"})
    await queue.put_many(parts)
    head = HEADS["process"].format(rules="batch=Gather(most=12, within=0.2), attempts=3, backoff=Backoff(first=0)")
    handlers = head + KILLING.replace("{KEY}", name).replace("PID", "os.getpid()")
    with consuming(copy, handlers, url, name) as service:
        async with asyncio.timeout(100):
            await queue.join()
        service.send_signal(signal.SIGTERM)
        _, said = service.communicate(timeout=90)
    assert service.returncode == 0, said
    (letter,) = await queue.dead_letters()
    assert (letter.reason, json.loads(letter.body)["part"]) == ("crashed", 5)
    assert await handled(client, name) == {part: 1 for part in range(12) if part != 5}


PAUSING = """
    for delivery in batch:
        delivery.effects.hincrby("{{KEY}}:handled", str(delivery.item.part), 1)
    print_it()
    WAIT
"""
PRINT = "def print_it():\n    os.write(2, b'in the middle\\n')\n\n\n"
WAITS = {"loop": "await asyncio.sleep(0.01)", "thread": "time.sleep(0.01)", "process": "time.sleep(0.01)"}


@pytest.mark.parametrize("place", HEADS)
async def test_a_service_killed_in_the_middle_of_a_batch_loses_and_repeats_nothing(
    copy: Path, url: str, queue: Queue[Message], client: Redis, *, tmp_path: Path, place: str
) -> None:
    name, go_on = queue.name, tmp_path / "go on"
    await queue.put_many([order("x").model_copy(update={"part": part}) for part in range(120)])
    head = HEADS[place].format(rules="batch=Gather(most=20, within=0.2)")
    handlers = (
        PRINT
        + head
        + PAUSING.replace("{KEY}", name).replace(
            "WAIT", f"while not os.path.exists({str(go_on)!r}):\n        {WAITS[place]}"
        )
    )
    with (
        consuming(copy, handlers, url, name, PIPELINE_SESSION_TTL="1") as killed,
        consuming(copy, handlers, url, name, PIPELINE_SESSION_TTL="1"),
    ):
        wait_for(killed, "in the middle")
        os.kill(killed.pid, signal.SIGKILL)
        go_on.touch()
        async with asyncio.timeout(100):
            await queue.join()
    statistics = await queue.statistics()
    assert await handled(client, name) == dict.fromkeys(range(120), 1)
    assert (statistics.acked_total, statistics.dead) == (120, 0)
    assert statistics.recovered_total >= 1


@pytest.mark.parametrize("place", HEADS)
async def test_a_drain_runs_what_is_set_aside(
    copy: Path, url: str, queue: Queue[Message], client: Redis, place: str
) -> None:
    name = queue.name
    head = HEADS[place].format(rules="batch=Gather(most=100, within=3600)")
    with consuming(copy, head + OBEY.replace("{KEY}", name), url, name, PIPELINE_GRACE="20") as service:
        await queue.put_many([order("return").model_copy(update={"part": part}) for part in range(7)])

        async def leased() -> int:
            return (await queue.statistics()).leased

        await until(leased, lambda count: count == 7, seconds=90)
        service.send_signal(signal.SIGTERM)
        _, said = service.communicate(timeout=90)
    assert service.returncode == 0, said
    assert await handled(client, name) == dict.fromkeys(range(7), 1)


async def test_a_wrong_batch_handler_is_advice_and_2(copy: Path, url: str, name: str) -> None:
    for handlers, advice in (
        ("@handles(Errand, batch=Gather(most=0, within=1))\nasync def f(batch, pipeline): ...\n", "most=0"),
        (
            "@handles(Errand, batch=Gather(most=9, within=1))\nasync def f(delivery: Delivery, pipeline): ...\n",
            "f is called with a batch: write `delivery: Batch[Errand]`",
        ),
        ("@handles(Errand)\nasync def f(batch: Batch[Errand], pipeline): ...\n", "f takes a Batch: write"),
    ):
        head = "from shared.concurrency import Delivery\n"
        with consuming(copy, head + handlers, url, name) as service:
            _, said = service.communicate(timeout=90)
        assert service.returncode == 2, said
        (line,) = said.splitlines()
        assert line.startswith("consumer: ")
        assert advice in line
