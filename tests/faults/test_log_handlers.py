"""A log handler is other people's code, and stdout may be a dead pipe: neither stops a loss, the heartbeat or a lane.

Every public call and every loss runs with a log handler that raises; every loss also in a process whose stdout and
stderr are pipes that nobody reads.
"""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from consumer.outcomes import Reject, Retry
from consumer.worker.worker import Worker
from shared.concurrency import Condition, Delivery, Queue, Session
from tests.faults.test_dropped_connections import CASES as CALLS
from tests.instruments import calls
from tests.instruments.lease_calls import CASES as LEASE_CALLS
from tests.instruments.lease_calls import placed
from tests.instruments.losses import LOSSES, goes_on, with_dead_pipes
from tests.instruments.processes import running
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


class Raises(logging.Handler):
    """Raises whatever it is given."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def handle(self, record: logging.LogRecord) -> bool:
        self.texts.append(record.getMessage())
        raise RuntimeError("this handler raises")


@pytest.fixture(autouse=True)
def handler() -> Iterator[Raises]:
    """The engine's log has a handler that raises, and hears everything."""
    logger, handler = logging.getLogger("weir"), Raises()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


@pytest.mark.parametrize("what", CALLS)
async def test_every_call_of_a_queue_has_its_effect(url: str, client: Redis, name: str, what: str) -> None:
    case = CALLS[what]
    async with calls.opened(url, url, client, name) as there:
        await case.prepare(there)
        async with asyncio.timeout(15):
            answer = await case.call(there)
        await case.check(there, answer)
        (await there.census()).check()


@pytest.mark.parametrize("what", LEASE_CALLS)
async def test_every_call_of_a_lease_has_its_effect(url: str, name: str, what: str) -> None:
    case = LEASE_CALLS[what]
    async with Session.open(url) as session, Session.open(url) as other:
        async with placed(session, other, name) as place:
            if case.prepare is not None:
                await case.prepare(place)
            if case.meanwhile is not None:
                place.tasks.append(asyncio.ensure_future(case.meanwhile(place)))
            async with asyncio.timeout(15):
                await case.call(place)
        await place.nothing_left()


@pytest.mark.timing
@pytest.mark.parametrize("what", LOSSES)
async def test_every_loss_is_noticed_and_all_else_goes_on(url: str, name: str, handler: Raises, what: str) -> None:
    lose, text = LOSSES[what]
    await lose(url, name)
    assert any(said.startswith(text) for said in handler.texts), "the log was never asked: this proves nothing"


@pytest.mark.timing
@pytest.mark.parametrize("what", LOSSES)
async def test_every_loss_is_noticed_though_nobody_reads_what_we_say(
    url: str, name: str, tmp_path: Path, what: str
) -> None:
    path = tmp_path / "end"
    async with running(with_dead_pipes, url, name, str(path), what) as process:
        await process.ended(30)
    word, _, count = path.read_text().partition(" ")
    assert word == "noticed", path.read_text()
    assert int(count) > 0, "the log was never written: this proves nothing"


async def test_a_worker_settles_what_failed_and_goes_on(url: str, name: str, handler: Raises) -> None:
    ends: list[Exception] = [ValueError("wrong"), Retry(after=60.0), Reject("no use")]

    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item < len(ends):
            raise ends[delivery.item]

    async with Session.open(url) as session:
        queue = Queue(session, name, int, max_attempts=1)
        await queue.put_many(range(len(ends) + 1))
        worker = Worker(queue, handle, concurrency=1)
        working = asyncio.create_task(worker.run())
        async with asyncio.timeout(15):
            await until(queue.statistics, lambda seen: (seen.acked_total, seen.leased) == (1, 0))
            worker.drain()
            await working
        assert (await queue.statistics()).dead == len(ends)
    texts = " ".join(handler.texts)
    for said in ("the handler failed", "the handler requested a retry", "the handler rejected the message"):
        assert said in texts, "the log was never asked: this proves nothing"


async def test_callbacks_of_users_that_raise_stop_nothing(url: str, name: str) -> None:
    heard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(repr(context.get("exception"))))

    def progress(fraction: float, text: str) -> None:
        raise RuntimeError(f"progress {fraction} {text}")

    def done(_: object) -> None:
        raise RuntimeError("done")

    async def reported() -> list[str]:
        return heard

    async with Session.open(url, ttl=0.6) as session:
        queue = Queue(session, name, int)
        future = await queue.submit(1, on_progress=progress)
        future.add_done_callback(done)
        async with asyncio.timeout(15):
            delivery = await queue.get()
            await delivery.progress(0.5, "half")
            await until(reported, bool)
            await delivery.ack()
            await future
        await goes_on(session, name)
    assert heard == ["RuntimeError('progress 0.5 half')", "RuntimeError('done')"]


@pytest.mark.parametrize("times", [1, 2])
async def test_a_predicate_that_raises_leaves_its_lock_to_others(url: str, name: str, times: int) -> None:
    # The second time it is called because nothing came for one time to live.
    asked = 0

    def predicate() -> bool:
        nonlocal asked
        asked += 1
        if asked == times:
            raise KeyError("a predicate")
        return False

    async with Session.open(url, ttl=0.6) as session, Session.open(url) as other:
        condition = Condition(session, name)
        with pytest.raises(KeyError):
            async with asyncio.timeout(15), condition as lease:
                try:
                    await condition.wait_for(predicate)
                finally:
                    lease.check()
        async with asyncio.timeout(5), Condition(other, name):
            pass
        await goes_on(session, name)
