"""A message is cancelled while the process that has it is killed, stopped or cut off: it never begins again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import Cancellation, Delivery, Queue, Session
from shared.message import Message
from tests.instruments import inside, programs, workers
from tests.instruments.cancelling import at_rest
from tests.instruments.handlers import notes, order
from tests.instruments.processes import Process, running
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import resolved, until

pytestmark = pytest.mark.timeout(180)

TTL: Final = 1.0
HANDLED: Final = ("loop", "thread", "process")
STATES: Final = ("pending", "delayed", *HANDLED, "handed")
FAULTS: Final = ("kill", "cut", "stop", "stop for long")


class Scene:
    """A queue, the process that has a message of it, and what that process began."""

    def __init__(self, queue: Queue[Message], client: Redis, holder: Process, note: Path) -> None:
        self.queue = queue
        self.client = client
        self.holder = holder
        self.note = note
        self.begun_elsewhere: list[int] = []

    async def notes(self) -> list[list[int]]:
        return await asyncio.to_thread(notes, self.note)

    async def handle(self, delivery: Delivery[Message]) -> None:
        """What the other consumer does."""
        if delivery.id == "one":
            self.begun_elsewhere.append(delivery.attempt)

    async def handed(self, *, is_there: bool) -> None:
        """Until the holder waits for a handoff, or has one."""

        async def look() -> list[bytes]:
            return await resolved(self.client.hvals(f"{{{self.queue.name}}}:handed"))

        await until(look, lambda entries: [bool(entry) for entry in entries] == [is_there])

    async def reach(self, state: str) -> None:
        """Bring a message into this state."""
        if state == "handed":
            await self.handed(is_there=False)
            self.holder.stop()
        if state == "pending":
            await self.queue.pause()
        text = "retry 0.3" if state == "delayed" else "hang"
        await self.queue.put(order(text, self.note), id="one")
        if state == "delayed":
            await until(self.queue.statistics, lambda seen: seen.delayed == 1, 90)
            await self.queue.pause()
        elif state == "handed":
            await self.handed(is_there=True)
        elif state in HANDLED:
            await until(self.notes, lambda begun: len(begun) == 1, 90)


@pytest.fixture
async def scene(
    queue: Queue[Any], client: Redis, proxy: Proxy, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Scene]:
    """A holder whose connection the proxy can cut; the state of the test says where its handler runs."""
    state = request.node.callspec.params["state"]
    messages = Queue(inside.session_of(queue), queue.name, Message)
    place = state if state in HANDLED else "loop"
    async with running(programs.obey_orders, proxy.url, queue.name, TTL, place) as holder:
        await holder.said("ready", seconds=60)
        yield Scene(messages, client, holder, tmp_path / "note")


@contextlib.asynccontextmanager
async def faulty(scene: Scene, proxy: Proxy, fault: str, is_removed: Callable[[], Any]) -> AsyncIterator[None]:
    """The block runs while the holder is killed, cut off or stopped; it ends once that is over."""
    if fault == "kill":
        await scene.holder.kill()
        yield
    elif fault == "cut":
        scene.holder.cont()  # where it was stopped so that a put hands it something
        with proxy.refusing():
            yield
    else:
        scene.holder.stop()
        yield
        if fault == "stop for long":
            await is_removed()  # by whoever recovers it, for its session is over
        scene.holder.cont()


FAST: Final = {("loop", "kill"), ("loop", "cut"), ("loop", "stop")}
CASES: Final = [
    pytest.param(state, fault, marks=() if (state, fault) in FAST else pytest.mark.slow)
    for state in STATES
    for fault in FAULTS
]


@pytest.mark.parametrize("state,fault", CASES)
async def test_whatever_befalls_its_holder_it_never_begins_again(
    scene: Scene, proxy: Proxy, other: Session, state: str, fault: str
) -> None:
    queue = scene.queue

    async def removed() -> None:
        await until(queue.statistics, lambda seen: seen.cancelled_total == 1, 90)

    await scene.reach(state)
    begun = await scene.notes()
    there = Queue(other, queue.name, Message)
    async with workers.working(there, scene.handle, concurrency=1):
        async with faulty(scene, proxy, fault, removed):
            outcome = await queue.cancel("one", timeout=0)
            assert outcome in {Cancellation.ASKED, Cancellation.STOPPED}
            await queue.resume()
        await removed()
        await queue.put(order("return"), id="two")
        async with asyncio.timeout(100):
            await queue.join()
        assert scene.begun_elsewhere == []
        # What was handed to it may begin there before it gets to know; that is its first attempt, and is stopped.
        assert len(await scene.notes()) <= (1 if state == "handed" else len(begun))
    await at_rest(scene.client, queue.name)


@pytest.mark.parametrize("fault", ["kill", "stop"])
async def test_a_put_that_waits_is_taken_out_whatever_befalls_its_owner(
    queue: Queue[int], url: str, name: str, client: Redis, fault: str
) -> None:
    await queue.resize(1)
    await queue.put(0)
    async with running(programs.put_one, url, name, TTL, 7, "seven") as owner:
        await owner.said("ready")
        await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
        if fault == "kill":
            await owner.kill()
        else:
            owner.stop()
        assert await queue.cancel("seven") is Cancellation.REMOVED
        async with await queue.get() as item:
            assert item == 0
        await queue.put(1)  # there is room, and nothing waits before it
        if fault == "stop":
            owner.cont()
            assert await owner.said("raised") == "MessageCancelled"
        async with await queue.get() as item:
            assert item == 1
    assert not await queue.put(7, id="seven")
    await at_rest(client, name)
