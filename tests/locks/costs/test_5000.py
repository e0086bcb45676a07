"""No call takes the server more than 10 ms with 5,000 holders or waiters, whether they live or not."""

import asyncio
import time
from typing import Any

import pytest

from shared.concurrency import Condition, Lease, Lock, ReadersWritersLease, Semaphore, Session
from shared.concurrency.locks.leases.keys import condition_keys, lease_keys
from tests.instruments import inside
from tests.instruments.grown_lease import grow
from tests.instruments.server_time import GENEROUS, timed
from tests.instruments.waiting import until

MANY = 5000
NAME = "grown"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def readers(session: Session, count: int) -> list[asyncio.Task[Lease]]:
    """Tasks that ask for so many read holds of their own."""
    catalog = ReadersWritersLease(session, NAME, ttl=60.0, max_hold=3600.0)  # these share no hold
    return [asyncio.create_task(catalog.read().acquire()) for _ in range(count)]


async def crowd(client: Any) -> None:
    """A semaphore that so many hold, and so many wait for, and as many readers."""
    await grow(client, NAME, "holders", MANY, deadline=60_000, mode="p")
    for which in ("line", "readers"):
        await grow(client, NAME, which, MANY, deadline=60_000)
    await client.hset(lease_keys(NAME)["record"], mapping={"kind": "limit 5000", "longest_ttl": 60_000})


async def waits(session: Session, count: int) -> None:
    await until(Lock(session, NAME).statistics, lambda seen: len(seen.waiters) == count, seconds=90)


async def test_a_writer_lets_5000_readers_in(client: Any, session: Session, other: Session) -> None:
    writer = await ReadersWritersLease(other, NAME).write().acquire()
    reading = readers(session, MANY)
    await waits(other, MANY)
    async with timed(client) as calls:
        await writer.release()
        async with asyncio.timeout(100):
            leases = await asyncio.gather(*reading)
    assert len(calls.milliseconds) >= MANY / 100
    assert calls.worst < GENEROUS
    tokens = [lease.token for lease in leases]
    assert tokens == sorted(tokens)  # first come, first served, though in portions


@pytest.mark.slow
async def test_a_downgrade_lets_5000_readers_in(client: Any, session: Session, other: Session) -> None:
    writer = await ReadersWritersLease(other, NAME).write().acquire()
    reading = readers(session, MANY)
    await waits(other, MANY)
    async with timed(client) as calls:
        await writer.downgrade()
        async with asyncio.timeout(100):
            await asyncio.gather(*reading)
    assert len(calls.milliseconds) >= MANY / 100
    assert calls.worst < GENEROUS


async def test_a_writer_waits_behind_5000_readers_inside(client: Any, session: Session, other: Session) -> None:
    await grow(client, NAME, "holders", MANY)
    await client.hset(lease_keys(NAME)["record"], mapping={"kind": "fair", "longest_ttl": 10_000, "phase": "r"})
    async with timed(client) as calls:
        writing = asyncio.create_task(ReadersWritersLease(session, NAME).write().acquire())
        await waits(other, 1)
    assert calls.worst < GENEROUS
    writing.cancel()
    await asyncio.wait({writing})


@pytest.mark.parametrize("owners", ["one", "many"])
async def test_5000_dead_waiters_are_passed_over(client: Any, session: Session, other: Session, owners: str) -> None:
    """A live one behind them has the lock long before they count as impatient."""
    held = await Lock(other, NAME).acquire()
    await grow(client, NAME, "line", MANY, owners=owners, deadline=60_000)
    await client.hset(lease_keys(NAME)["record"], "longest_ttl", 60_000)
    waiting = asyncio.create_task(Lock(session, NAME).acquire())
    await waits(other, MANY + 1)
    async with timed(client) as calls:
        began = time.monotonic()
        await held.release()
        async with asyncio.timeout(40):
            lease = await waiting
        took = time.monotonic() - began
        for _ in range(20):  # the next ones need not go along them again
            await lease.release()
            lease = await Lock(session, NAME).acquire()
    assert calls.worst < GENEROUS
    assert took < 9  # it would be 17 if only looks passed over them


@pytest.mark.parametrize("owners", ["one", "many"])
async def test_5000_dead_readers_are_passed_over(client: Any, session: Session, other: Session, owners: str) -> None:
    writer = await ReadersWritersLease(other, NAME).write().acquire()
    await grow(client, NAME, "readers", MANY, owners=owners, deadline=60_000)
    await client.hset(lease_keys(NAME)["record"], "longest_ttl", 60_000)
    reading = readers(session, 3)
    await waits(other, MANY + 3)
    async with timed(client) as calls:
        await writer.release()
        async with asyncio.timeout(40):
            await asyncio.gather(*reading)
    assert calls.worst < GENEROUS


async def test_what_has_expired_goes_in_parts(client: Any, session: Session) -> None:
    await grow(client, NAME, "holders", MANY, deadline=-1)
    await grow(client, NAME, "line", MANY // 2, deadline=-1)
    await grow(client, NAME, "readers", MANY // 2, deadline=-1)
    await client.hset(lease_keys(NAME)["record"], mapping={"kind": "fair", "longest_ttl": 10_000})
    async with timed(client) as calls, asyncio.timeout(40):
        lease = await ReadersWritersLease(session, NAME).write().acquire()
    assert calls.worst < GENEROUS
    await lease.release()
    assert await client.zcard(lease_keys(NAME)["waiting"]) == 0


async def test_a_clock_that_went_back_is_made_up_for_in_parts(client: Any, session: Session) -> None:
    await grow(client, NAME, "holders", MANY, deadline=3_600_000)
    await grow(client, NAME, "line", MANY, deadline=3_600_000)
    await client.hset(lease_keys(NAME)["record"], mapping={"kind": "limit 9999", "longest_ttl": 10_000})
    async with timed(client) as calls:
        async with Semaphore(session, NAME, 9999):
            pass
        far = lease_keys(NAME)
        limit = 1000 * int((await client.time())[0]) + 60_000
        for _ in range(30):
            await inside.ask(session, "release", far, "nobody", 0, inside.run_id_of(session))
        assert await client.zcount(far["holders"], limit, "+inf") == 0
    assert calls.worst < GENEROUS


@pytest.mark.slow
async def test_5000_holds_of_a_process_are_renewed_in_parts(client: Any, session: Session) -> None:
    permits = Semaphore(session, NAME, 2 * MANY)
    async with timed(client) as calls:
        leases = [
            lease
            for _ in range(MANY // 500)
            for lease in await asyncio.gather(*(permits.acquire() for _ in range(500)))
        ]
        before = min(inside.hold_of(lease).deadline for lease in leases)
        inside.renew_now(session)

        async def earliest() -> float:
            return min(inside.hold_of(lease).deadline for lease in leases)

        await until(earliest, lambda seen: seen > before)
    assert calls.worst < GENEROUS


async def test_statistics_of_5000_holders_and_10000_waiters(client: Any, session: Session) -> None:
    await crowd(client)
    async with timed(client) as calls:
        seen = await Semaphore(session, NAME, MANY).statistics()
    assert (len(seen.holders), len(seen.waiters)) == (MANY, 2 * MANY)
    assert len(calls.milliseconds) >= 3 * MANY / 500
    assert calls.worst < GENEROUS


async def test_5000_holders_are_robbed_in_parts(client: Any, session: Session) -> None:
    await crowd(client)
    permits = Semaphore(session, NAME, MANY)
    holds = [one.hold for one in (await permits.statistics()).holders]
    async with timed(client) as calls:
        assert await inside.lease_participant_of(session, NAME).end(holds) == holds
    seen = await permits.statistics()
    assert (len(seen.holders), len(seen.waiters)) == (0, 2 * MANY)
    assert len(calls.milliseconds) == MANY / 250
    assert calls.worst < GENEROUS


async def test_all_of_5000_waiters_are_notified(client: Any, session: Session, other: Session) -> None:
    keys, later = condition_keys(NAME), 1000.0 * (await client.time())[0] + 60_000
    ids = [inside.new_id_of(other) for _ in range(MANY)]
    await client.zadd(keys["waiters"], {each: number for number, each in enumerate(ids)})
    await client.zadd(keys["alive"], dict.fromkeys(ids, later))
    condition = Condition(session, NAME)
    async with timed(client) as calls, condition:
        await condition.notify_all()
    assert calls.worst < GENEROUS
    assert await client.zcard(keys["waiters"]) == 0
