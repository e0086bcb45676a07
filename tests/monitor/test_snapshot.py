"""The snapshot: it says what is so, and leaves no trace."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from monitor.link import open_link
from monitor.names import MOST_LEASES
from monitor.snapshot import Snapshot
from monitor.watch import Watch, open_watch
from shared.concurrency import Delivery, Lock, Queue, ReadersWritersLease, Semaphore, Session
from shared.concurrency.queues.snapshot import LetterGroup, QueueSnapshot
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.inside import owner_of, renew_now
from tests.instruments.waiting import resolved, until
from tests.instruments.workers import working


@pytest.fixture
async def watch(url: str) -> AsyncIterator[Watch]:
    """A watch of its own."""
    async with open_link(url) as link, open_watch(link) as watch:
        yield watch


async def taken(watch: Watch) -> Snapshot:
    """A snapshot of what is there now."""
    await watch.look_again()
    return await watch.snapshot()


async def of_queue(watch: Watch, name: str) -> QueueSnapshot:
    found = (await taken(watch)).queue(name)
    assert found is not None
    return found


async def test_a_queue_is_as_its_statistics_say(watch: Watch, session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=5, max_attempts=1)
    await queue.put_many(range(5))
    async with await queue.get():
        pass
    await (await queue.get()).nack()
    await (await queue.get()).dead_letter("unwanted")
    held = await queue.get()
    await queue.pause()
    waiting = asyncio.create_task(queue.put_many(range(9)))
    await until(queue.statistics, lambda seen: seen.puts_waiting > 0)
    seen = await of_queue(watch, name)
    stated = await queue.statistics()
    assert seen.counts.oldest_pending_seconds <= stated.oldest_pending_seconds
    assert seen.counts.oldest_dead_seconds <= stated.oldest_dead_seconds
    for word in type(stated).__slots__:
        if not word.startswith("oldest_"):
            assert getattr(seen.counts, word) == getattr(stated, word), word
    assert seen.letters == (LetterGroup("failed", None, 1), LetterGroup("unwanted", None, 1))
    (one,) = seen.sessions
    assert (one.owner, one.pid, one.host) == (owner_of(session), os.getpid(), socket.gethostname())
    assert (one.held, one.is_consumer, one.is_draining, one.load) == (1, False, False, None)
    assert one.since is not None
    assert 0 < one.seconds_left <= 10
    await held.ack()
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_a_consumer_shows_what_it_holds_and_measures_and_that_it_drains(
    watch: Watch, url: str, session: Session, name: str
) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    async def handle(_: Delivery[int]) -> None:
        started.set()
        await go.wait()

    async with Session.open(url) as other:
        there = Queue(other, name, int)
        service = asyncio.create_task(inside.member_at(there).draining.wait())
        inside.member_at(there).registration.can_drain()
        async with working(there, handle, concurrency=7):
            await Queue(session, name, int).put(1)
            async with asyncio.timeout(5):
                await started.wait()
            renew_now(other)
            seen = await until(
                lambda: of_queue(watch, name), lambda queue: _load_of(queue, owner_of(other)) is not None
            )
            (one,) = seen.consumers
            assert (one.owner, one.held, one.is_draining) == (owner_of(other), 1, False)
            assert one.load is not None
            assert (one.load.concurrency, one.load.waiting.total) == (7, 1)
            assert seen.total("waiting").total == 1
            assert await Queue(session, name, int).drain() == [owner_of(other)]
            (one,) = (await of_queue(watch, name)).consumers
            assert one.is_draining
            go.set()
        await service
    assert [each.owner for each in (await of_queue(watch, name)).sessions] == [owner_of(session)]


def _load_of(queue: QueueSnapshot, owner: str) -> Any:
    return next((each.load for each in queue.sessions if each.owner == owner), None)


async def test_what_was_handed_over_and_not_confirmed_is_held(
    watch: Watch, client: Redis, session: Session, name: str
) -> None:
    await Queue(session, name, int).statistics()
    session_id = inside.session_id_of(session, name)
    await resolved(client.hset(f"{{{name}}}:handed", session_id, "an entry"))
    assert [one.held for one in (await of_queue(watch, name)).sessions] == [1]
    await resolved(client.hset(f"{{{name}}}:handed", session_id, ""))
    assert [one.held for one in (await of_queue(watch, name)).sessions] == [0]


@pytest.mark.parametrize("said", ["1 " + "[" * 9000, "1 {}", "1", "", '1 {"waiting": 3}'])
async def test_what_another_program_says_of_a_session_is_no_load(
    watch: Watch, client: Redis, session: Session, name: str, said: str
) -> None:
    await Queue(session, name, int).statistics()
    field = f"{inside.session_id_of(session, name)}:load"
    await resolved(client.hset(f"{{{name}}}:lanes", field, said))
    assert [one.load for one in (await of_queue(watch, name)).sessions] == [None]


async def test_a_lease_shows_who_holds_and_who_waits(watch: Watch, session: Session, other: Session, name: str) -> None:
    shown = f"{name} no key can hold this"
    here, there = ReadersWritersLease(session, shown), ReadersWritersLease(other, shown)
    async with here.write() as held:
        waiting = [asyncio.create_task(there.read().acquire()), asyncio.create_task(Lock(other, name).acquire())]
        found = await until(
            lambda: taken(watch), lambda seen: _waiters(seen, shown) == 1 and seen.lease(name) is not None
        )
        lease = found.lease(shown)
        assert lease is not None
        assert (lease.kind, lease.limit, lease.token, lease.holder_count) == ("fair", None, held.token, 1)
        (holder,) = lease.holders
        assert (holder.owner, holder.mode, holder.token, holder.pid) == (
            owner_of(session),
            "write",
            held.token,
            os.getpid(),
        )
        assert [(each.owner, each.mode) for each in lease.waiters] == [(owner_of(other), "read")]
        assert (lease.grants.read, lease.grants.write, lease.grants.permit) == (0, 1, 0)
    for each in await asyncio.gather(*waiting):
        await each.release()
    lease = (await taken(watch)).lease(shown)
    assert lease is not None
    assert (lease.holders, lease.waiters, lease.grants.read) == ((), (), 1)


def _waiters(seen: Snapshot, name: str) -> int:
    lease = seen.lease(name)
    return 0 if lease is None else lease.waiter_count


async def test_of_many_who_wait_the_first_50_are_named_in_order(
    watch: Watch, client: Redis, session: Session, name: str
) -> None:
    async with Semaphore(session, name, 1):
        waiting = [asyncio.create_task(Semaphore(session, name, 1).acquire()) for _ in range(60)]
        found = await until(lambda: taken(watch), lambda seen: _waiters(seen, name) == 60)
        lease = found.lease(name)
        assert lease is not None
        assert (lease.limit, len(lease.waiters), lease.holder_count) == (1, 50, 1)
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)
    assert await client.zcard(f"{{{name}}}:lease:waiting") == 0


async def test_it_leaves_no_trace(watch: Watch, client: Redis, session: Session, name: str) -> None:
    """Not a key, not a field: what it sends cannot write."""
    await Queue(session, name, int).put(1)
    async with Lock(session, name):
        await watch.look_again()
        before = await _everything(client, name)
        for _ in range(3):
            await watch.snapshot()
        assert await _everything(client, name) == before


async def _everything(client: Redis, name: str) -> dict[bytes, Any]:
    keys = sorted([key async for key in client.scan_iter(f"*{name}*")])
    return {key: await client.dump(key) for key in keys}


async def test_a_user_that_may_only_read_may_take_it(server: EmbeddedServer) -> None:
    """Nothing is sent that could write, so a watch needs no right to write."""
    async with Redis.from_url(server.url) as client, Session.open(server.url) as session:
        await Queue(session, "jobs", int).put(1)
        rights = "~* +@connection +@read -@dangerous +info +time +evalsha_ro +script|load"
        await client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", *rights.split())
        path = server.url.partition("?")[0].removeprefix("unix://")
        url = f"unix://reader:secret@{path}?db=0"
        async with open_link(url) as link, open_watch(link) as watch:
            seen = await watch.snapshot()
        assert (await client.execute_command("ACL", "LOG")) == []
    (queue,) = seen.queues
    assert (queue.name, queue.counts.pending, seen.problems) == ("jobs", 1, ())


async def test_what_is_spoilt_hides_nothing_else(watch: Watch, client: Redis, session: Session, name: str) -> None:
    await Queue(session, name, int).put(1)
    await client.set(f"{{{name}-spoilt}}:settings", "not ours")
    await client.set(f"{{{name}-spoilt}}:lease", "not ours")
    await resolved(client.hset(f"{{{name}-2}}:settings", mapping={"maxsize": 1}))
    await client.zadd(f"{{{name}}}:sessions", {"abcdefghijkl.1.10000": 9e15})
    for field, value in (("abcdefghijkl.1.10000:load", "7 {no json"), ("abcdefghijkl.1.10000:process", "no number")):
        await resolved(client.hset(f"{{{name}}}:lanes", field, value))
    await resolved(client.hset(f"{{{name}}}:dead:groups", "no json", "1"))
    seen = await taken(watch)
    assert [each.name for each in seen.problems if name in each.name] == [f"{name}-spoilt", f"{name}-spoilt"]
    spoilt = seen.queue(name)
    assert spoilt is not None
    (there,) = (each for each in spoilt.sessions if each.owner == "abcdefghijkl")
    assert (there.pid, there.host, there.since, there.load) == (0, "", None, None)
    two = seen.queue(f"{name}-2")
    assert two is not None
    assert (two.counts.maxsize, two.sessions) == (1, ())


async def test_the_clock_shows_what_waits_for_its_time(
    watch: Watch, client: Redis, session: Session, name: str
) -> None:
    await Queue(session, name, int).statistics()
    now, _ = await client.time()
    await client.zadd(f"{{{name}}}:clock", {"late": (now - 60) * 1000, "soon": (now + 60) * 1000})
    (clock,) = [each for each in (await taken(watch)).clocks if each.queue == name]
    assert (clock.deferred, clock.overdue) == (2, 1)


async def test_names_are_looked_for_apart_from_the_snapshot(
    watch: Watch, client: Redis, session: Session, name: str
) -> None:
    await Queue(session, name, int).statistics()
    assert (await watch.snapshot()).queue(name) is None
    before = (await client.info("commandstats")).get("cmdstat_scan", {"calls": 0})["calls"]
    await watch.snapshot()
    assert (await client.info("commandstats")).get("cmdstat_scan", {"calls": 0})["calls"] == before
    await watch.look_again()
    seen = await watch.snapshot()
    assert seen.queue(name) is not None
    assert seen.names_age_seconds < 30


async def test_leases_beyond_the_first_are_counted(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url) as client, Session.open(server.url) as session:
        async with client.pipeline(transaction=False) as pipeline:
            for number in range(MOST_LEASES + 7):
                pipeline.hset(f"{{one-{number:04}}}:lease", "token", "1")
            await pipeline.execute()
        async with Lock(session, "zebra"), open_link(server.url) as link, open_watch(link) as watch:
            seen = await watch.snapshot()
    assert (len(seen.leases), seen.leases_left_out) == (MOST_LEASES, 8)
    assert seen.lease("zebra") is not None


async def test_what_is_gone_is_shown_no_more(watch: Watch, client: Redis, session: Session, name: str) -> None:
    await Queue(session, name, int).statistics()
    await watch.look_again()
    await client.delete(*[key async for key in client.scan_iter(f"*{name}*")])
    assert (await watch.snapshot()).queue(name) is None


async def test_the_server_is_shown(watch: Watch, client: Redis) -> None:
    server, info = (await watch.snapshot()).server, await client.info()
    assert (server.run_id, server.role) == (info["run_id"], info["role"])
    assert server.version in (info["redis_version"], info.get("valkey_version"))
    assert 0 < server.round_trip_seconds < 10
    assert server.memory_bytes > 0
