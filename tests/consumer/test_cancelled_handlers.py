"""A message is cancelled while a consumer service has it: in a handler, before one, or after."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from consumer.executors.dispatch import Dispatch
from consumer.rules.handler import Handler, Place
from consumer.rules.rules import Rules
from shared.concurrency import Cancellation, Delivery, Queue, RemoteError, Session
from shared.concurrency.queues.takes import pace, unstarted
from shared.message import Message
from shared.pipeline import open_pipeline
from shared.settings import Settings
from tests.instruments import inside, workers
from tests.instruments.cancelling import at_rest, cancelling
from tests.instruments.handlers import HANG, notes, order
from tests.instruments.messages import Errand
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)

STOPPED = "the message was cancelled: its handler was stopped"
GOES_ON = "the handler's thread cannot be stopped: its worker waits for it"


@asynccontextmanager
async def handling(url: str, name: str, place: Place) -> AsyncIterator[None]:
    """A consumer service whose handler runs on the loop, in a thread or in a process, in this process."""
    settings = Settings(redis_url=SecretStr(url), queue=name, maxsize=0)
    async with (
        open_pipeline(settings) as pipeline,
        Dispatch({Errand: Handler(HANG[place], place, Rules())}, pipeline) as there,
        workers.working(pipeline.queue, there.handle, concurrency=1, rules=there.rules),
    ):
        yield


async def begun(note: Path) -> list[list[int]]:
    """Until a handler has begun with the message that names this file."""

    async def look() -> list[list[int]]:
        return notes(note)

    return await until(look, bool)


def said(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records)


@pytest.fixture(params=HANG)
async def place(request: pytest.FixtureRequest, url: str, name: str) -> AsyncIterator[str]:
    """Where the handler of a consumer service at the queue runs."""
    async with handling(url, name, request.param):
        yield request.param


async def test_wherever_its_handler_runs_it_is_stopped_and_the_worker_goes_on(
    queue: Queue[Any], client: Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    caplog.set_level(logging.INFO)
    queue = Queue(inside.session_of(queue), queue.name, Message)
    note, end = tmp_path / "note", tmp_path / "end"
    text = f"wait {end}" if place == "thread" else "hang"
    future = await queue.submit(order(text, note), id="one")
    ((pid, attempt),) = await begun(note)
    assert attempt == 1
    assert await queue.cancel("one") is Cancellation.STOPPED
    with pytest.raises(RemoteError, match=r"^cancelled"):
        async with asyncio.timeout(40):
            await future
    if place == "process":
        await until(lambda: asyncio.to_thread(os.path.exists, f"/proc/{pid}"), lambda there: not there)
    # In a thread the worker is taken until that has ended.
    assert said(caplog, GOES_ON) == (place == "thread")
    await queue.put(order("return"))
    end.touch()
    async with asyncio.timeout(100):
        await queue.join()
    assert len(notes(note)) == 1
    assert (said(caplog, STOPPED), said(caplog, "a message was cancelled")) == (1, 1)
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.nacked_total, statistics.cancelled_total) == (1, 0, 1)
    await at_rest(client, queue.name)


@pytest.mark.parametrize("then", ["returns", "raises", "sleeps"])
async def test_what_a_handler_does_after_it_changes_nothing(
    queue: Queue[int], name: str, client: Redis, caplog: pytest.LogCaptureFixture, then: str
) -> None:
    caplog.set_level(logging.INFO)
    holding, may_end = asyncio.Event(), asyncio.Event()
    seen: list[bool] = []

    async def handle(delivery: Delivery[int]) -> object:
        if delivery.item == 2:
            return None
        delivery.effects.incrby(f"{name}-effect", 1)
        try:
            holding.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(delivery.cancelled)
            if then == "sleeps":
                await may_end.wait()
            if then == "raises":
                raise LookupError("something else") from None
        return "a result"

    async with workers.working(queue, handle, concurrency=1), asyncio.timeout(100):
        await queue.put(1, id="one")
        await holding.wait()
        waiting = await cancelling(queue, client)
        if then == "sleeps":
            await until(lambda: asyncio.sleep(0, bool(seen)), bool)
            assert not waiting.done(), "it is stopped once its handler has ended"
            may_end.set()
        assert await waiting is Cancellation.STOPPED
        await queue.put(2)
        await queue.join()
    assert seen == [True]
    assert await client.get(f"{name}-effect") is None
    assert (said(caplog, STOPPED), said(caplog, "the handler failed")) == (1, 0)
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.nacked_total, statistics.cancelled_total) == (1, 0, 1)
    await at_rest(client, name)


async def test_what_is_prefetched_and_not_begun_is_left_out(
    session: Session, other: Session, name: str, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unstarted, "_SECONDS", 60)  # else it goes back after a moment, and is met by a take
    monkeypatch.setattr(pace, "_AHEAD_SECONDS", 60.0)  # else a slow machine may never hold much ahead
    queue, there = Queue(session, name, int), Queue(other, name, int)
    handled: list[int] = []
    blocked, may_go_on = asyncio.Event(), asyncio.Event()

    async def handle(delivery: Delivery[int]) -> None:
        handled.append(delivery.item)
        if not blocked.is_set() and inside.in_hand(inside.take_lane_at(there)) > 20:
            blocked.set()
            await may_go_on.wait()

    await asyncio.gather(*(queue.put(number, id=f"id-{number}") for number in range(3000)))
    async with workers.working(there, handle, concurrency=1), asyncio.timeout(100):
        await blocked.wait()
        last = handled[-1]
        ahead = range(last + 1, last + 11)
        outcomes = await asyncio.gather(*(queue.cancel(f"id-{number}") for number in ahead))
        assert set(outcomes) == {Cancellation.STOPPED}, "whoever holds it answers for it"
        may_go_on.set()
        await queue.join()
    assert handled == [number for number in range(3000) if number not in ahead]
    await at_rest(client, name)


async def test_a_message_that_is_cancelled_while_its_service_drains_does_not_go_back(
    queue: Queue[int], client: Redis
) -> None:
    holding, may_end = asyncio.Event(), asyncio.Event()

    async def handle(_: Delivery[int]) -> None:
        try:
            holding.set()
            await asyncio.Event().wait()
        finally:
            await may_end.wait()

    async with workers.working(queue, handle, grace=0.1) as worker:
        await queue.put(1, id="one")
        await holding.wait()
        waiting = await cancelling(queue, client)
        stopping = asyncio.create_task(worker.stop(0.01))
        await asyncio.sleep(0)
        may_end.set()
        await stopping
    assert await waiting is Cancellation.STOPPED
    await at_rest(client, queue.name)
