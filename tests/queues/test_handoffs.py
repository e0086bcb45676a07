"""A put that hands its message to a worker that waits: earlier by a round trip, and as safe as any other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from consumer.worker.worker import Worker
from shared.concurrency import ConcurrencyError, Delivery, Queue, Session
from shared.concurrency.queues.takes.lane import TakeLane
from shared.concurrency.session.calls import Call, Calls
from tests.instruments import inside, programs, workers
from tests.instruments.census import take_census
from tests.instruments.processes import running
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until


@pytest.fixture
async def queue(url: str, name: str) -> AsyncIterator[Queue[int]]:
    async with Session.open(url) as session:
        queue = Queue(session, name, int)
        await queue.statistics()  # its connection and registration are not what is looked at
        yield queue


class Working:
    """A worker of another session, and what it has handled: (item, attempt)."""

    def __init__(self, client: Redis, session: Session, name: str) -> None:
        self.handled: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self.ending = asyncio.Event()
        """Handlers of negative numbers wait for it."""
        self.member = inside.member_of(session, name)
        self._client = client
        self._key = f"{{{name}}}:handed"

    async def handle(self, delivery: Delivery[int]) -> None:
        self.handled.put_nowait((delivery.item, delivery.attempt))
        if delivery.item < 0:
            await self.ending.wait()

    async def waits(self) -> None:
        """Until it waits for a message to be handed to it."""
        await until(lambda: handed(self._client, self._key), lambda entries: entries == [b""])


async def who_waits(client: Redis, name: str) -> list[bytes]:
    sessions: list[bytes] = await client.hkeys(f"{{{name}}}:handed")  # type: ignore[misc]
    return sessions


async def handed(client: Redis, key: str) -> list[bytes]:
    entries: list[bytes] = await client.hvals(key)  # type: ignore[misc]
    return entries


@asynccontextmanager
async def working(
    url: str, client: Redis, name: str, *, ttl: float = 10.0, concurrency: int = 10
) -> AsyncIterator[Working]:
    """A worker with a session of its own that waits for messages."""
    async with Session.open(url, ttl=ttl) as session:
        there = Working(client, session, name)
        async with workers.working(Queue(session, name, int), there.handle, concurrency=concurrency):
            try:
                await there.waits()
                yield there
            finally:
                there.ending.set()


async def test_a_message_is_handled_before_its_worker_asks_for_it(
    proxy: Proxy, client: Redis, name: str, queue: Queue[int]
) -> None:
    async with working(proxy.url, client, name) as worker:
        proxy.commands.clear()
        async with proxy.holding("settle_and_take") as hold:
            await queue.put(1)
            # The reply to its next call is kept back: it cannot have got the message by it.
            assert await worker.handled.get() == (1, 1)
            await hold.arrived.wait()
        await queue.join()
        await worker.waits()
        # It settles, and waits again in the same call; a look once a second settles nothing.
        calls = [one.words for one in proxy.commands if one.name == "settle_and_take"]
        us = worker.member.session_id.encode()
        settling = [words for words in calls if words[words.index(us) + 4]]
        assert len(settling) == 1
    assert (await queue.statistics()).acked_total == 1


async def test_what_is_handed_counts_as_delivered(proxy: Proxy, client: Redis, name: str, queue: Queue[int]) -> None:
    await queue.resize(1)
    async with working(proxy.url, client, name) as worker:
        with proxy.frozen():
            await queue.put(1)
            statistics = await queue.statistics()
            assert (statistics.pending, statistics.leased) == (0, 1)
            (await take_census(client, name)).check()
            await queue.put(2)  # there is room for it
        assert [await worker.handled.get() for _ in range(2)] == [(1, 1), (2, 1)]


async def test_a_wake_up_that_is_lost_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, client: Redis, url: str, name: str, queue: Queue[int]
) -> None:
    async with working(url, client, name) as worker:
        with monkeypatch.context() as lost:
            lost.setattr(TakeLane, "handed", lambda *_: None)
            await queue.put(1)
            assert len(await handed(client, f"{{{name}}}:handed")) == 1
            # It looks again within a second, and the answer carries what it has not seen.
            async with asyncio.timeout(5):
                assert await worker.handled.get() == (1, 1)
        await queue.join()
        assert worker.handled.empty()
    assert (await queue.statistics()).acked_total == 1


async def test_a_wake_up_lost_with_its_connection_loses_nothing(
    proxy: Proxy, client: Redis, name: str, queue: Queue[int]
) -> None:
    async with working(proxy.url, client, name) as worker:
        with proxy.frozen():
            await queue.put(1)
            proxy.cut()
        # At once when it is connected again.
        async with asyncio.timeout(5):
            assert await worker.handled.get() == (1, 1)
        await queue.join()
        assert worker.handled.empty()
    assert (await queue.statistics()).acked_total == 1


async def test_a_session_that_ends_gives_back_what_was_handed_to_it(
    monkeypatch: pytest.MonkeyPatch, client: Redis, url: str, name: str, queue: Queue[int]
) -> None:
    async with working(url, client, name):
        monkeypatch.setattr(TakeLane, "handed", lambda *_: None)
        await queue.put(1)
    async with await queue.get() as item:
        assert item == 1
    assert (await queue.statistics()).nacked_total == 0
    assert await handed(client, f"{{{name}}}:handed") == []


async def test_what_was_handed_to_a_killed_process_is_recovered(
    client: Redis, url: str, name: str, queue: Queue[int]
) -> None:
    async with running(programs.work, url, name, 1.0) as process:
        await until(lambda: handed(client, f"{{{name}}}:handed"), lambda entries: entries == [b""])
        process.stop()
        await queue.put(1)
        assert b"" not in await handed(client, f"{{{name}}}:handed")
        (await take_census(client, name)).check()
        await process.kill()
        assert process.reports("handled") == []
        async with asyncio.timeout(40):
            delivery = await queue.get()
        assert delivery.attempt == 2
        await delivery.ack()
    assert await handed(client, f"{{{name}}}:handed") == []
    (await take_census(client, name)).check()


async def test_what_was_handed_to_a_session_that_is_over_is_not_handled_by_it(
    client: Redis, url: str, name: str, queue: Queue[int]
) -> None:
    async with running(programs.work, url, name, 0.5) as process:
        await until(lambda: handed(client, f"{{{name}}}:handed"), lambda entries: entries == [b""])
        process.stop()
        await queue.put(1)
        delivery = await queue.get()  # recovered from the session that passed its deadline
        process.cont()
        await queue.put(2)
        assert await process.said("handled") == [2, 1]
        assert (delivery.item, delivery.attempt) == (1, 2)
        await delivery.ack()


async def test_a_get_is_not_handed_anything(url: str, client: Redis, name: str, queue: Queue[int]) -> None:
    # It may be given up at any moment, and what it was handed would have left room for another put.
    async with Session.open(url) as session:
        waiting = asyncio.create_task(Queue(session, name, int).get())
        await until(lambda: client.zcard(f"{{{name}}}:idle"), lambda count: count == 1)
        assert await handed(client, f"{{{name}}}:handed") == []
        waiting.cancel()
        await asyncio.wait({waiting})
        await queue.put(1)
        assert await queue.qsize() == 1


async def test_what_waits_already_comes_first(
    monkeypatch: pytest.MonkeyPatch, client: Redis, url: str, name: str, queue: Queue[int]
) -> None:
    async with working(url, client, name) as worker:
        with monkeypatch.context() as deaf:
            deaf.setattr(TakeLane, "woken", lambda _: None)
            await queue.put_many([1, 2])  # two travel together: they are not handed, and wake it
            await queue.put(3)
        assert [await worker.handled.get() for _ in range(3)] == [(1, 1), (2, 1), (3, 1)]


async def test_a_large_message_is_not_copied(url: str, client: Redis, name: str) -> None:
    texts: asyncio.Queue[str] = asyncio.Queue()

    async def handle(delivery: Delivery[str]) -> None:
        texts.put_nowait(delivery.item)

    async with Session.open(url) as session:
        queue = Queue(session, name, str)
        worker = Worker(queue, handle)
        task = asyncio.create_task(worker.run())
        await until(lambda: handed(client, f"{{{name}}}:handed"), lambda entries: entries == [b""])
        await queue.put("x" * 100_000)
        assert len(await texts.get()) == 100_000
        await queue.join()
        worker.drain()
        await task


async def test_the_last_free_worker_is_not_forgotten(proxy: Proxy, client: Redis, name: str, queue: Queue[int]) -> None:
    async with working(proxy.url, client, name, concurrency=4) as worker:
        async with proxy.holding("settle_and_take") as hold:
            await queue.put_many([-1, -2])  # two travel together: they are not handed, and wake it
            await hold.arrived.wait()
            await queue.put(-3)  # handed: behind the reply with the two
        assert sorted([await worker.handled.get() for _ in range(3)]) == [(-3, 1), (-2, 1), (-1, 1)]
        await queue.put(4)
        async with asyncio.timeout(5):
            assert await worker.handled.get() == (4, 1)


async def test_a_worker_that_is_drained_is_handed_nothing_though_its_session_lives_on(
    url: str, client: Redis, name: str, queue: Queue[int]
) -> None:
    async with Session.open(url) as session:
        there = Working(client, session, name)
        worker = Worker(Queue(session, name, int), there.handle)
        task = asyncio.create_task(worker.run())
        await there.waits()
        worker.drain()
        await task
        await until(lambda: who_waits(client, name), lambda sessions: not sessions)
        await queue.put(1)
        delivery = await queue.get()
        assert (delivery.item, delivery.attempt) == (1, 1)
        await delivery.ack()


async def test_a_worker_that_is_drained_while_it_asks_is_handed_nothing(proxy: Proxy, client: Redis, name: str) -> None:
    async with Session.open(proxy.url) as session:
        there = Working(client, session, name)
        worker = Worker(Queue(session, name, int), there.handle)
        async with proxy.holding("settle_and_take") as hold:
            task = asyncio.create_task(worker.run())
            await hold.arrived.wait()
            worker.drain()
        await task
        await until(lambda: who_waits(client, name), lambda sessions: not sessions)


async def test_a_process_that_handles_something_is_handed_nothing(
    client: Redis, url: str, name: str, queue: Queue[int]
) -> None:
    # Its handler may block the loop, and another process would be free.
    async with working(url, client, name) as worker:
        await queue.put(-1)
        assert await worker.handled.get() == (-1, 1)
        await until(lambda: client.zcard(f"{{{name}}}:idle"), lambda count: count == 1)
        assert await handed(client, f"{{{name}}}:handed") == []
        await queue.put(2)
        assert await worker.handled.get() == (2, 1)
        worker.ending.set()
        await worker.waits()


async def test_a_session_that_has_not_looked_for_long_is_handed_nothing(
    proxy: Proxy, client: Redis, name: str, queue: Queue[int]
) -> None:
    async with working(proxy.url, client, name) as worker:
        with proxy.frozen():
            seconds, micros = await client.time()
            stale = (seconds - 2) * 1_000_000 + micros
            await client.zadd(f"{{{name}}}:idle", {worker.member.session_id: stale})
            await queue.put(1)
            assert await queue.qsize() == 1  # for whoever comes
        assert await worker.handled.get() == (1, 1)


async def test_what_is_handed_on_a_new_connection_is_not_taken_away(
    monkeypatch: pytest.MonkeyPatch, proxy: Proxy, client: Redis, name: str, queue: Queue[int]
) -> None:
    composed, go = asyncio.Event(), asyncio.Event()
    once = Calls.once

    async def slow(calls: Calls, call: Call) -> object:
        if calls is worker.member.calls:
            composed.set()
            await go.wait()
        return await once(calls, call)

    async with working(proxy.url, client, name) as worker:
        # Its next look is carried out, but the answer is lost; what it says then does not know of the message.
        lost = proxy.drop_nth(1, Fate.DROP_AFTER, lambda command: command.name == "settle_and_take")
        await lost.wait()
        monkeypatch.setattr(Calls, "once", slow)
        await composed.wait()
        channel = f"weir:{worker.member.owner}"
        await until(lambda: client.pubsub_numsub(channel), lambda heard: dict(heard)[channel.encode()] == 1)
        await queue.put(-1)
        assert await worker.handled.get() == (-1, 1)
        go.set()
        await queue.put(2)
        assert await worker.handled.get() == (2, 1)  # and not the first one again
        worker.ending.set()
        await queue.join()
    assert (await queue.statistics()).acked_total == 2


async def test_a_former_session_of_a_process_is_handed_nothing(
    client: Redis, url: str, name: str, queue: Queue[int]
) -> None:
    async with working(url, client, name, ttl=60.0) as worker:
        former = worker.member.session_id
        worker.member.over(former)
        present = worker.member.session_id.encode()
        await until(lambda: who_waits(client, name), lambda known: known == [present])
        await queue.put(1)
        assert await worker.handled.get() == (1, 1)


@pytest.mark.usefixtures("only_notified")
async def test_what_was_handed_to_a_former_session_of_a_live_process_is_served_at_once(
    proxy: Proxy, client: Redis, name: str, queue: Queue[int]
) -> None:
    async with working(proxy.url, client, name, ttl=60.0) as worker:
        with proxy.frozen():
            await queue.put(1)
            worker.member.over(worker.member.session_id)
        async with asyncio.timeout(100):
            assert await worker.handled.get() == (1, 2)
    assert (await queue.statistics()).recovered_total == 0  # no crash


async def test_an_id_is_known_only_when_its_message_is_there(client: Redis, name: str, queue: Queue[int]) -> None:
    await client.zadd(f"{{{name}}}:idle", {"somebodyelse.1.10000": 1})
    await client.set(f"{{{name}}}:handed", "of another type")
    with pytest.raises(ConcurrencyError, match="handed"):
        await queue.put(1, id="order-1")
    await client.delete(f"{{{name}}}:handed")
    await queue.put(1, id="order-1")
    assert await queue.qsize() == 1
