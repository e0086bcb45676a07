"""What becomes of messages that this process does not have the code for: they go back, and wait for who has it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, QueueEmpty, RemoteError, Session
from shared.concurrency.queues.deliveries.unread import _delay_ms, _limit_ms
from shared.concurrency.queues.encoding.entry import read
from shared.message import Message
from shared.upgrades import upgrades
from tests.instruments.census import take_census
from tests.instruments.waiting import resolved, until


def charge(version: int, **fields: Any) -> type[Message]:
    """The class as some process has it; the registry of this one knows the last only."""
    for known in (Message._classes, Message._former):
        known.pop("Fee", None)
    return type("Fee", (Message,), {"__annotations__": fields, "__module__": __name__}, version=version)


@pytest.fixture(autouse=True)
def forgotten() -> Any:
    yield
    Message._classes.pop("Fee", None)


@pytest.fixture
async def other(url: str) -> AsyncIterator[Session]:
    """Another process."""
    async with Session.open(url) as session:
        yield session


def queue_of(session: Session, name: str, tp: type[Message], **settings: Any) -> Queue[Any]:
    """A queue of a process that has this class."""
    queue: Queue[Any] = Queue(session, name, Message, **settings)
    queue._codec._registered = lambda: {"Fee": tp} if tp is not Message else {}
    return queue


async def entries(client: Redis, name: str) -> list[bytes]:
    """What is delayed."""
    return await resolved(client.zrange(f"{{{name}}}:delayed", 0, -1))


async def test_what_is_newer_goes_back_uncounted_and_is_read_by_who_has_it(
    session: Session, other: Session, name: str, client: Redis
) -> None:
    old, new = charge(1), charge(2)
    upgrades(new, from_version=1)(lambda body: body)
    ours, theirs = queue_of(session, name, old), queue_of(other, name, new)
    await theirs.put(new())
    with pytest.raises(QueueEmpty):
        await ours.get_nowait()
    (entry,) = await until(lambda: entries(client, name), bool)
    stored = read(entry)
    assert (stored.failures, stored.attempt, stored.version) == (0, 2, 2)
    assert entry[38:39] == b"0"  # crashes
    assert 0 < int(stored.headers["unread_ms"]) / 1000 - stored.put_at < 60
    async with asyncio.timeout(100), await theirs.get() as item:
        assert type(item) is new
    statistics = await theirs.statistics()
    assert (statistics.dead, statistics.nacked_total, statistics.acked_total) == (0, 0, 1)
    (await take_census(client, name)).check()


async def test_the_time_counts_from_the_first_and_then_it_is_a_dead_letter(
    session: Session, other: Session, name: str
) -> None:
    old, new = charge(1), charge(2)
    ours, theirs = queue_of(session, name, old, unread_for=0.001), queue_of(other, name, new)
    future = await theirs.submit(new(), id="seven")
    waiting = asyncio.create_task(ours.get())
    with pytest.raises(RemoteError, match="too_new: Fee has version 2, this process reads up to 1") as caught:
        await asyncio.wait_for(future, 20)
    waiting.cancel()
    assert caught.value.reason == "too_new"
    (letter,) = await ours.dead_letters()
    assert (letter.reason, letter.id, letter.type, letter.attempt, letter.failures) == ("too_new", "seven", "Fee", 2, 0)
    # A replay puts back what was put, for those who have it; the time begins anew.
    assert await ours.replay() == 1
    async with asyncio.timeout(100), await theirs.get() as item:
        assert type(item) is new


async def went_back(queue: Queue[Any], client: Redis) -> int:
    """Have a process that cannot read what is due soon take it; how many are marked now."""
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    return sum("unread_ms" in read(entry).headers for entry in await entries(client, queue.name))


@pytest.mark.parametrize("report", ["", "no luck"])
async def test_who_reads_it_ends_the_time(
    session: Session, other: Session, name: str, client: Redis, report: str
) -> None:
    old, new = charge(1), charge(2)
    upgrades(new, from_version=1)(lambda body: body)
    ours, theirs = queue_of(session, name, old), queue_of(other, name, new)
    await theirs.put(new(), id="seven")
    assert await went_back(ours, client) == 1
    async with asyncio.timeout(100):
        delivery = await theirs.get()
        assert "unread_ms" in delivery._stored.headers
        if report:
            with pytest.raises(LookupError):
                async with delivery:
                    raise LookupError(report)
        else:
            await delivery.nack(delay=0.01)
        again = await theirs.get()
    stored = again._stored
    assert "unread_ms" not in stored.headers
    assert (stored.id, stored.body, stored.version, stored.failures) == ("seven", b"{}", 2, 1)
    await again.ack()
    (await take_census(client, name)).check()


@pytest.mark.parametrize(
    "attempt,limit",
    [(1, 1000), (2, 2000), (4, 8000), (7, 8000), (32, 8000), (100, 25_000), (240, 60_000), (999_999, 60_000)],
)
def test_the_delay_doubles_to_8_s_and_then_grows_to_a_minute_with_full_jitter(attempt: int, limit: int) -> None:
    delays = [_delay_ms(attempt) for _ in range(2000)]
    assert 1 <= min(delays) < limit / 50
    assert limit * 0.98 < max(delays) <= limit


def test_ten_deliveries_to_old_consumers_in_a_rolling_deploy_delay_a_message_by_a_minute_at_most() -> None:
    assert sum(_limit_ms(attempt) for attempt in range(1, 11)) == 63_000  # half of it, on average


COUNT: Final = 300


async def test_who_cannot_read_most_takes_one_at_a_time_and_says_so(
    session: Session, other: Session, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="weir.queues")
    old, new = charge(1), charge(2)
    ours, theirs = queue_of(session, name, old, maxsize=0), queue_of(other, name, new, maxsize=0)
    await theirs.put_many([new() for _ in range(COUNT)])
    handled: list[object] = []

    async def handle(delivery: Delivery[Any]) -> None:
        handled.append(delivery.item)

    def said(text: str) -> list[str]:
        return [record.getMessage() for record in caplog.records if text in record.getMessage()]

    async def lines() -> int:
        return len(said("takes one at a time"))

    worker = Worker(ours, handle, concurrency=10)
    running = asyncio.create_task(worker.run())
    await until(lines, lambda count: count == 1)
    prefetch = worker._prefetch
    assert prefetch is not None
    wanted = []
    pace = prefetch.pace
    real = pace.wants
    pace.wants = lambda: wanted.append(real()) or wanted[-1]  # type: ignore[method-assign, func-returns-value]
    await until(ours.statistics, lambda seen: seen.pending == 0)
    assert max(wanted) == 1
    assert len(said("goes back, for those who can")) == 1  # once for each class and version
    # What it can read it goes on to handle, and then it takes as many as it can start.
    readable = queue_of(other, name, old)
    await readable.put_many([old() for _ in range(200)])
    await until(ours.statistics, lambda seen: seen.acked_total == 200, 90)
    assert said("can read most messages again")
    assert max(wanted) > 1
    assert len(handled) == 200
    worker.drain()
    await running
    assert (await ours.statistics()).dead == 0
