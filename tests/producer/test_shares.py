"""Several producers of one source: each share is put by one of them at a time, and once in all."""

import asyncio
import contextlib
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from shared.concurrency import Lock, Queue, Session
from shared.message import Message
from tests.instruments.messages import Errand
from tests.instruments.services import Service, running, wait_for
from tests.instruments.waiting import resolved, until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("command_line")]

SHARED = """
from producer.share import Share
from shared.messages import Errand


async def messages(pipeline, share: Share):
    for number in range(pipeline.settings.orders)[share.index :: share.count]:
        yield Errand(text=str(number))
"""


@pytest.fixture
async def queue(session: Session, name: str) -> Queue[Message]:
    return Queue(session, name, Message, maxsize=3)


@contextlib.asynccontextmanager
async def taken(queue: Queue[Message]) -> AsyncIterator[Counter[str]]:
    """Take all that comes, beside the block."""
    found: Counter[str] = Counter()

    async def take() -> None:
        async for delivery in queue:
            async with delivery as item:
                assert isinstance(item, Errand)
                found[item.text] += 1

    taking = asyncio.create_task(take())
    try:
        yield found
    finally:
        taking.cancel()
        await asyncio.wait({taking})


async def full(queue: Queue[Message]) -> None:
    """Wait until a producer waits for room."""
    await until(queue.statistics, lambda seen: seen.pending == 3 and seen.puts_waiting > 0)


async def ended(*producers: Service) -> list[int]:
    """Wait until these have put all; how many messages each has put, and that each message is there once."""
    said = [(await asyncio.to_thread(producer.communicate, 20))[1] for producer in producers]
    assert [producer.returncode for producer in producers] == [0] * len(producers), said
    lines = [json.loads(line) for text in said for line in text.splitlines()]
    return [line["messages"] for line in lines if line["event"] == "all messages are put"]


async def test_a_second_producer_of_a_source_stands_by_and_puts_nothing(
    url: str, name: str, queue: Queue[Message]
) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_ORDERS": "200"}
    await queue.statistics()  # its bound is stored
    with running("producer", **settings) as one:
        await full(queue)
        with running("producer", **settings) as two:
            await asyncio.to_thread(wait_for, two, "stands by")
            async with taken(queue) as found:
                assert await ended(one, two) == [200, 0]
                await queue.join()
    assert found == dict.fromkeys(map(str, range(200)), 1)


async def test_each_producer_puts_a_share(copy: Path, url: str, name: str, queue: Queue[Message]) -> None:
    (copy / "producer" / "source.py").write_text(SHARED)
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_ORDERS": "201", "PIPELINE_SHARES": "2"}
    await queue.statistics()
    with running("producer", copy, **settings) as one, running("producer", copy, **settings) as two:
        await until(queue.statistics, lambda seen: seen.puts_waiting > 64)  # of both
        async with taken(queue) as found:
            assert sorted(await ended(one, two)) == [100, 101]
            await queue.join()
    assert found == dict.fromkeys(map(str, range(201)), 1)


async def test_one_producer_puts_all_shares_and_a_later_one_puts_them_anew(
    copy: Path, url: str, name: str, queue: Queue[Message], client: Redis
) -> None:
    (copy / "producer" / "source.py").write_text(SHARED)
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_ORDERS": "20", "PIPELINE_SHARES": "3"}
    for times in (1, 2):
        async with taken(queue) as found:
            with running("producer", copy, **settings) as producer:
                assert await ended(producer) == [20]
            await queue.join()
        assert found == dict.fromkeys(map(str, range(20)), 1), times
    noted = await resolved(client.hkeys(f"{{{name}}}:source"))
    assert sorted(noted) == sorted(f"{word}:{index}".encode() for word in ("claim", "done") for index in range(3))
    assert await resolved(client.ttl(f"{{{name}}}:source")) > 86_400


async def test_a_run_that_has_a_name_is_put_once_whenever_its_producers_begin(
    copy: Path, url: str, name: str, queue: Queue[Message]
) -> None:
    (copy / "producer" / "source.py").write_text(SHARED)
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_ORDERS": "20", "PIPELINE_SHARES": "3"}
    async with taken(queue) as found:
        for run, put in (("monday", 20), ("monday", 0), ("tuesday", 20)):
            with running("producer", copy, PIPELINE_SOURCE_RUN=run, **settings) as producer:
                assert await ended(producer) == [put]
        await queue.join()
    assert found == dict.fromkeys(map(str, range(20)), 2)


async def test_the_share_of_a_producer_that_is_killed_begins_anew_in_another(
    url: str, name: str, queue: Queue[Message]
) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_ORDERS": "100", "PIPELINE_SESSION_TTL": "1"}
    await queue.statistics()
    with running("producer", **settings) as one:
        await full(queue)
        with running("producer", **settings) as two:
            await asyncio.to_thread(wait_for, two, "stands by")
            one.kill()
            async with taken(queue) as found:
                assert await ended(two) == [100]
                await queue.join()
    assert set(found) == set(map(str, range(100)))
    assert 0 < found["0"] <= 2


@pytest.mark.parametrize("other", ["", "somebodyelse"])
async def test_a_lease_lost_in_an_outage_is_no_new_beginning_unless_another_has_the_share(
    url: str, session: Session, queue: Queue[Message], client: Redis, other: str
) -> None:
    name = queue.name
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_ORDERS": "200", "PIPELINE_SESSION_TTL": "1"}
    await queue.statistics()
    with running("producer", **settings) as producer:
        await full(queue)
        producer.send_signal(signal.SIGSTOP)
        lock = Lock(session, f"{name}.source.0")
        await lock.acquire()  # once that of the producer has expired
        if other:
            await resolved(client.hset(f"{{{name}}}:source", "claim:0", other))
            await resolved(client.hset(f"{{{name}}}:source", "done:0", f"{2**52} "))
        await lock.release()
        producer.send_signal(signal.SIGCONT)
        async with taken(queue) as found:
            _, said = await asyncio.to_thread(producer.communicate, 20)
            await queue.join()
    assert producer.returncode == 0, said
    assert ("another producer has the share by now" in said) == bool(other)
    if other:
        assert len(found) <= 64
    else:
        assert found == dict.fromkeys(map(str, range(200)), 1)


async def test_a_producer_that_stands_by_ends_at_once(url: str, name: str, queue: Queue[Message]) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_GRACE": "3600"}
    await queue.statistics()
    with running("producer", **settings):
        await full(queue)
        with running("producer", **settings) as two:
            await asyncio.to_thread(wait_for, two, "stands by")
            two.terminate()
            _, said = await asyncio.to_thread(two.communicate, 20)
    assert two.returncode == 0, said
    assert "it had no share" in said


@pytest.mark.parametrize(
    "source,shares,advice",
    [
        (SHARED.replace(", share: Share", ""), "2", "each share would be the whole source"),
        (
            SHARED.replace("pipeline, share: Share", ""),
            "1",
            "write `async def messages(pipeline)`, or (pipeline, share)",
        ),
    ],
)
def test_a_source_that_takes_no_share_is_advice_and_2(
    copy: Path, url: str, source: str, shares: str, advice: str
) -> None:
    (copy / "producer" / "source.py").write_text(source)
    with running("producer", copy, REDIS_URL=url, PIPELINE_SHARES=shares) as producer:
        _, said = producer.communicate(timeout=20)
    assert producer.returncode == 2, said
    assert advice in said
    assert len(said.splitlines()) == 1
