"""Locks, semaphores, readers-writers leases, events and conditions between two sessions: what they are for."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from shared.concurrency import Condition, Event, Lock, ReadersWritersLease, Semaphore, Session
from tests.instruments import inside


@pytest.fixture
async def ours(url: str) -> AsyncIterator[Session]:
    async with Session.open(url) as session:
        yield session


@pytest.fixture
async def theirs(url: str) -> AsyncIterator[Session]:
    async with Session.open(url) as session:
        yield session


async def test_a_lock_is_held_by_one_at_a_time(ours: Session, theirs: Session, name: str) -> None:
    async with Lock(ours, name) as first:
        waiting = asyncio.create_task(Lock(theirs, name).acquire())
        while not (now := await Lock(ours, name).statistics()).waiters:
            pass
        assert [holder.owner for holder in now.holders] == [inside.owner_of(ours)]
        assert [waiter.owner for waiter in now.waiters] == [inside.owner_of(theirs)]
        assert not waiting.done()
    second = await waiting
    assert second.token > first.token
    await second.release()
    assert not await Lock(ours, name).locked()


async def test_a_semaphore_has_so_many_permits(ours: Session, theirs: Session, name: str) -> None:
    there = Semaphore(ours, name, 3)
    leases = [await there.acquire() for _ in range(3)]
    waiting = asyncio.create_task(Semaphore(theirs, name, 3).acquire())
    while not (await there.statistics()).waiters:
        pass
    assert await there.locked()
    await there.release()
    await (await waiting).release()
    assert [inside.has_ended(lease) for lease in leases] == [True, False, False]


async def test_many_read_and_one_writes(ours: Session, theirs: Session, name: str) -> None:
    catalog, elsewhere = ReadersWritersLease(ours, name), ReadersWritersLease(theirs, name)
    async with catalog.read(), elsewhere.read():
        writer = asyncio.create_task(elsewhere.write().acquire())
        while not (await catalog.statistics()).waiters:
            pass
        assert not writer.done()
    lease = await writer
    assert [holder.mode for holder in (await catalog.statistics()).holders] == ["write"]
    await lease.release()


async def test_an_event_wakes_who_waits_in_another_process(ours: Session, theirs: Session, name: str) -> None:
    event, elsewhere = Event(ours, name), Event(theirs, name)
    waiting = asyncio.create_task(event.wait())
    assert not await elsewhere.is_set()
    await elsewhere.set()
    assert await waiting
    assert await event.is_set()
    await event.clear()
    assert not await elsewhere.is_set()


async def test_an_event_is_kept_while_it_is_set_and_rests_for_a_week_when_it_is_cleared(
    ours: Session, url: str, name: str
) -> None:
    event = Event(ours, name)
    async with redis.asyncio.Redis.from_url(url) as client:
        for _ in range(2):
            await event.set()
            assert await client.ttl(f"{{{name}}}:event") == -1
            await event.clear()
            assert 604_700 < await client.ttl(f"{{{name}}}:event") <= 604_800
        # Who waits keeps it, so that nothing that ends looks like a set.
        await client.expire(f"{{{name}}}:event", 100)
        waiting = asyncio.create_task(event.wait())
        while await client.ttl(f"{{{name}}}:event") <= 100:
            assert not waiting.done()
        await event.set()
        assert await waiting


async def test_a_condition_is_waited_for_under_its_lock(ours: Session, theirs: Session, name: str) -> None:
    there: list[int] = []
    waits = asyncio.Event()

    condition = Condition(ours, name)

    async def hold_and_wait() -> list[int]:
        async with condition as lease:
            before = lease.token
            waits.set()
            found = await condition.wait_for(lambda: there)
            assert lease.token > before
            return found

    waiting = asyncio.create_task(hold_and_wait())
    await waits.wait()
    elsewhere = Condition(theirs, name)
    async with elsewhere:
        there.append(1)
        await elsewhere.notify()
    assert await waiting == [1]
