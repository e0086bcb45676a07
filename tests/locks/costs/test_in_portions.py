"""What is granted in several calls is granted in the order of one, and what is read in several is all there."""

import asyncio
from contextvars import Context
from typing import Any

from shared.concurrency import Lease, Lock, ReadersWritersLease, Session
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.locks.leases.statistics import read_statistics
from shared.concurrency.session.scripts import load
from tests.instruments import inside
from tests.instruments.grown_lease import grow
from tests.instruments.lease_waiters import waiters
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

READERS = 450
"""More than four calls let in."""


async def reads_once(session: Session, name: str) -> int:
    """Read, and leave at once; the token."""
    async with ReadersWritersLease(session, name, max_hold=60.0).read() as lease:  # it shares no hold
        return lease.token


async def writes_once(session: Session, name: str) -> int:
    async with ReadersWritersLease(session, name).write() as lease:
        return lease.token


async def release_by_hand(session: Session, name: str, lease: Lease) -> int:
    """One call, and nobody who goes on, as when the writer's process dies then; whether there is more to grant."""
    outcome, has_more = await inside.ask(
        session, "release", lease_keys(name), inside.hold_of(lease).id, 0, inside.run_id_of(session)
    )
    assert outcome == b"released"
    return int(has_more)


async def test_no_writer_and_no_later_reader_comes_between_the_readers_of_a_phase(
    client: Any, session: Session, other: Session, name: str
) -> None:
    catalog = ReadersWritersLease(other, name)
    writer = await catalog.write().acquire()
    reading = [asyncio.create_task(reads_once(session, name)) for _ in range(READERS)]
    await waiters(catalog, READERS)
    writing = asyncio.create_task(writes_once(other, name))
    await waiters(catalog, READERS + 1)
    assert await release_by_hand(other, name, writer) == 1
    # They leave as soon as they are in, so at times nobody is inside.
    late = asyncio.create_task(reads_once(other, name))
    async with asyncio.timeout(40):
        tokens = await asyncio.gather(*reading)
        assert max(tokens) < await writing < await late
    assert tokens == sorted(tokens)
    assert await client.hget(lease_keys(name)["record"], "entering") is None


async def test_the_next_writer_waits_for_a_phase_though_nobody_is_inside(
    client: Any, session: Session, other: Session, name: str
) -> None:
    catalog, script, keys = ReadersWritersLease(other, name), load("release"), lease_keys(name)
    writer = await catalog.write().acquire()
    sharing = ReadersWritersLease(session, name, max_hold=60.0)
    reading = [asyncio.create_task(sharing.read().acquire()) for _ in range(READERS)]
    await waiters(catalog, READERS)
    writing = asyncio.create_task(writes_once(other, name))
    await waiters(catalog, READERS + 1)
    await client.script_load(script.source.decode())
    run_id = inside.run_id_of(other)
    packed = [script.pack(keys, (hold, 0, run_id)) for hold in (inside.hold_of(writer).id, "nobody")]
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.evalsha(script.sha.decode(), *packed[0])
        pipeline.delete(keys["holders"])  # all that came in so far leave
        pipeline.evalsha(script.sha.decode(), *packed[1])
        assert await pipeline.execute() == [[b"released", 1], 1, [b"unknown", 1]]
    async with asyncio.timeout(5):
        leases = await asyncio.gather(*reading)
        await asyncio.gather(*(lease.release() for lease in leases[100:]))
        assert max(lease.token for lease in leases) < await writing


async def test_whoever_looks_lets_the_rest_of_a_phase_in(session: Session, other: Session, name: str) -> None:
    """The writer's process may be dead by then. Nobody waits longer than a look for it."""
    catalog = ReadersWritersLease(other, name)
    writer = await catalog.write().acquire()
    sharing = ReadersWritersLease(session, name, max_hold=60.0)
    reading = [asyncio.create_task(sharing.read().acquire()) for _ in range(READERS)]
    await waiters(catalog, READERS)
    writing = asyncio.create_task(writes_once(other, name))
    await waiters(catalog, READERS + 1)
    assert await release_by_hand(other, name, writer) == 1
    async with asyncio.timeout(9):
        leases = await asyncio.gather(*reading)
    await asyncio.gather(*(lease.release() for lease in leases))
    async with asyncio.timeout(9):
        assert max(lease.token for lease in leases) < await writing


async def test_a_phase_that_nobody_is_left_of_holds_nobody_up(
    client: Any, session: Session, other: Session, name: str
) -> None:
    """The readers that were still to come in gave up."""
    catalog = ReadersWritersLease(other, name)
    writer = await catalog.write().acquire()
    await grow(client, name, "readers", 5000, deadline=60_000)
    await client.hset(lease_keys(name)["record"], "longest_ttl", 60_000)
    await until(catalog.statistics, lambda seen: len(seen.waiters) == 5000)
    assert await release_by_hand(other, name, writer) == 1
    assert await client.hget(lease_keys(name)["record"], "entering") is not None
    await client.delete(lease_keys(name)["readers"])
    async with asyncio.timeout(9):
        assert await writes_once(session, name) < await reads_once(session, name)
    assert await client.hget(lease_keys(name)["record"], "entering") is None


async def test_who_was_silent_for_a_while_keeps_its_turn(
    client: Any, other: Session, proxy: Proxy, through_proxy: Session, name: str
) -> None:
    lock, record = Lock(other, name), lease_keys(name)["record"]
    got: list[str] = []

    async def take(who: str, session: Session) -> Lease:
        lease = await Lock(session, name).acquire()
        got.append(who)
        return lease

    held = await lock.acquire()
    silent = asyncio.create_task(take("silent", through_proxy))
    await waiters(lock, 1)
    second = asyncio.create_task(take("second", other), context=Context())
    await waiters(lock, 2)
    with proxy.refusing():
        channel = f"weir:{inside.owner_of(through_proxy)}"
        await until(lambda: client.pubsub_numsub(channel), lambda seen: seen[0][1] == 0)
        await held.release()
        lease = await second
        assert await client.hget(record, "passed_over") is not None
    # It is back, and asks.
    await until(lambda: client.hget(record, "passed_over"), lambda seen: seen is None)
    third = asyncio.create_task(take("third", other), context=Context())
    await waiters(lock, 2)
    await lease.release()
    lease = await silent
    await lease.release()
    await (await third).release()
    assert got == ["second", "silent", "third"]


async def test_5000_silent_ones_are_passed_over_once(client: Any, session: Session, other: Session, name: str) -> None:
    """A later hand-over costs the same, whether nobody or thousands of dead processes wait in front."""
    held = await Lock(session, name).acquire()
    await grow(client, name, "line", 5000, deadline=60_000)
    await client.hset(lease_keys(name)["record"], "longest_ttl", 60_000)
    waiting = asyncio.create_task(Lock(other, name).acquire())
    await waiters(Lock(session, name), 5001)
    assert await release_by_hand(session, name, held) == 1
    lease = await waiting
    for _ in range(3):
        waiting = asyncio.create_task(Lock(session, name).acquire())
        await waiters(Lock(session, name), 5001)
        assert await release_by_hand(other, name, lease) == 0
        lease = await waiting


async def test_who_is_let_in_while_statistics_are_read_is_in_them_once(
    session: Session, other: Session, name: str
) -> None:
    catalog = ReadersWritersLease(other, name)
    writer = await catalog.write().acquire()
    sharing = ReadersWritersLease(session, name, max_hold=60.0)
    reading = [asyncio.create_task(sharing.read().acquire()) for _ in range(700)]
    await waiters(catalog, len(reading))
    asked = []

    async def ask(start: str) -> Any:
        asked.append(start)
        answer = await inside.ask(other, "lease_statistics", lease_keys(name), start)
        if not start:
            await release_by_hand(other, name, writer)
        return answer

    seen = await read_statistics(ask)
    assert len(asked) > 1
    assert len(seen.holders) + len(seen.waiters) == len(reading)
    assert len({one.hold for one in seen.holders}) == len(seen.holders) > 0
    async with asyncio.timeout(5):
        leases = await asyncio.gather(*reading)
    await asyncio.gather(*(lease.release() for lease in leases))


async def test_holders_that_are_renewed_while_statistics_are_read_are_in_them_once(
    client: Any, session: Session, name: str
) -> None:
    await grow(client, name, "holders", 2000)
    keys = lease_keys(name)
    before = await client.zrange(keys["holders"], 0, -1, withscores=True)

    async def ask(start: str) -> Any:
        answer = await inside.ask(session, "lease_statistics", keys, start)
        # The first half expires last now, so all the others have another rank.
        await client.zadd(keys["holders"], {hold: deadline + 10_000 for hold, deadline in before[:1000]}, gt=True)
        return answer

    seen = await read_statistics(ask)
    assert sorted(one.hold.encode() for one in seen.holders) == sorted(hold for hold, _ in before)
