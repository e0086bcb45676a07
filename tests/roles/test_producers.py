"""A producer's user: it puts, submits, defers and locks, and reaches nothing else."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from shared.clock.deferred import Deferred
from shared.concurrency import (
    Barrier,
    Cancellation,
    Condition,
    Event,
    Lock,
    Queue,
    QueueEmpty,
    QueueFull,
    ReadersWritersLease,
    Semaphore,
    ServerRefused,
    Session,
)
from shared.local.embedded import EmbeddedServer
from tests.instruments.granted import granted, refused
from tests.instruments.messages import Errand


async def test_it_puts_in_every_way(server: EmbeddedServer, admin: Redis) -> None:
    url = await granted(admin, server.url, "producer", "jobs")
    async with Session.open(url, ttl=1.0) as session, Session.open(server.url) as theirs:
        queue, other = Queue(session, "jobs", int, maxsize=3), Queue(theirs, "jobs", int)
        await queue.put(1, id="one")
        assert not await queue.put(1, id="one")
        await queue.put_nowait(2)
        await queue.put(3, key="customer")  # of the second set of scripts from here on
        with pytest.raises(QueueFull):
            await queue.put_nowait(4)
        waiting = [asyncio.create_task(queue.put_many([5, 6, 7])), asyncio.create_task(queue.put(8, key="customer"))]
        for _ in range(7):
            async with await other.get():
                pass
        await asyncio.gather(*waiting)
        await queue.put(10, id="ten")
        assert await queue.cancel("ten", timeout=0) in (Cancellation.REMOVED, Cancellation.ASKED)
        await queue.forget("one")
        await queue.statistics()
        with contextlib.suppress(QueueEmpty):  # a take removes what is marked
            await other.get_nowait()
        async with asyncio.timeout(20):
            await queue.join()
    assert await refused(admin) == []


async def test_it_has_results_and_outlives_its_connection(server: EmbeddedServer, admin: Redis) -> None:
    url = await granted(admin, server.url, "producer", "jobs")
    async with Session.open(url, ttl=1.0) as session, Session.open(server.url) as theirs:
        future = await Queue(session, "jobs", int).submit(1, id="one")
        await admin.client_kill_filter(skipme=True)
        delivery = await Queue(theirs, "jobs", int).get()
        await delivery.ack(result=[2])
        assert await future == [2]
    assert await refused(admin) == []


async def test_it_uses_locks_of_every_kind(server: EmbeddedServer, admin: Redis) -> None:
    url = await granted(admin, server.url, "producer")
    async with Session.open(url) as session, Session.open(url) as other:
        async with Lock(session, "lock"), Semaphore(session, "semaphore", 2):
            pass
        for each in (session, other):
            async with ReadersWritersLease(each, "a name that is stored as a digest").read():
                pass
        async with ReadersWritersLease(session, "catalog").write():
            waiting = asyncio.create_task(ReadersWritersLease(other, "catalog").read().__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait({waiting})
        event = Event(session, "event")
        heard = asyncio.create_task(Event(other, "event").wait())
        await event.set()
        await heard
        await event.clear()
        condition = Condition(session, "condition")
        async with condition:
            await condition.notify()
        assert {await each for each in asyncio.as_completed([
            Barrier(session, "barrier", 2).wait(), Barrier(other, "barrier", 2).wait(),
        ])} == {0, 1}  # fmt: skip
    assert await refused(admin) == []


@pytest.mark.parametrize("queue", ["jobs", "shop/jobs"])
async def test_it_defers_messages(server: EmbeddedServer, admin: Redis, queue: str) -> None:
    url = await granted(admin, server.url, "producer", queue)
    async with Redis.from_url(url) as client:
        deferred = Deferred(client, queue, 10_000)
        message = Errand(file="f", part=1, text="t")
        id_ = await deferred.schedule(message, datetime.now(UTC) + timedelta(hours=1), None, "one")
        assert await deferred.begun(id_) is not None
        assert await deferred.unschedule(id_)
    assert await refused(admin) == []


async def test_of_the_rest_it_may_do_nothing(server: EmbeddedServer, admin: Redis) -> None:
    url = await granted(admin, server.url, "producer", "jobs")
    await admin.set("{other}:secret", "x")
    async with Session.open(url) as session:
        with pytest.raises(ServerRefused, match="ACL"):
            await Queue(session, "other", int).put(1)
        with pytest.raises(ServerRefused, match="ACL"):
            await Lock(session, "other").acquire()
    async with Redis.from_url(url) as client:
        for command in (
            ("GET", "{other}:secret"), ("SET", "{other}:secret", "y"), ("KEYS", "*"), ("SCAN", "0"), ("FLUSHALL",),
            ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("CLIENT", "LIST"), ("EVAL", "return 1", "0"), ("SCRIPT", "FLUSH"),
            ("SADD", "{jobs}:set", "x"), ("PUBLISH", "elsewhere", "x"), ("SUBSCRIBE", "elsewhere"), ("MONITOR",),
        ):  # fmt: skip
            with pytest.raises(NoPermissionError):
                await client.execute_command(*command)
