"""Locks, semaphores, readers-writers leases, events and conditions between two sessions: what they are for."""

import asyncio

import redis.asyncio

from shared.concurrency import Condition, Event, Lock, ReadersWritersLease, Semaphore, Session
from tests.instruments import inside


async def test_a_lock_is_held_by_one_at_a_time(session: Session, other: Session, name: str) -> None:
    async with Lock(session, name) as first:
        waiting = asyncio.create_task(Lock(other, name).acquire())
        while not (now := await Lock(session, name).statistics()).waiters:
            pass
        assert [holder.owner for holder in now.holders] == [inside.owner_of(session)]
        assert [waiter.owner for waiter in now.waiters] == [inside.owner_of(other)]
        assert not waiting.done()
    second = await waiting
    assert second.token > first.token
    await second.release()
    assert not await Lock(session, name).locked()


async def test_a_semaphore_has_so_many_permits(session: Session, other: Session, name: str) -> None:
    there = Semaphore(session, name, 3)
    leases = [await there.acquire() for _ in range(3)]
    waiting = asyncio.create_task(Semaphore(other, name, 3).acquire())
    while not (await there.statistics()).waiters:
        pass
    assert await there.locked()
    await there.release()
    await (await waiting).release()
    assert [inside.has_ended(lease) for lease in leases] == [True, False, False]


async def test_many_read_and_one_writes(session: Session, other: Session, name: str) -> None:
    catalog, elsewhere = ReadersWritersLease(session, name), ReadersWritersLease(other, name)
    async with catalog.read(), elsewhere.read():
        writer = asyncio.create_task(elsewhere.write().acquire())
        while not (await catalog.statistics()).waiters:
            pass
        assert not writer.done()
    lease = await writer
    assert [holder.mode for holder in (await catalog.statistics()).holders] == ["write"]
    await lease.release()


async def test_an_event_wakes_who_waits_in_another_process(session: Session, other: Session, name: str) -> None:
    event, elsewhere = Event(session, name), Event(other, name)
    waiting = asyncio.create_task(event.wait())
    assert not await elsewhere.is_set()
    await elsewhere.set()
    assert await waiting
    assert await event.is_set()
    await event.clear()
    assert not await elsewhere.is_set()


async def test_an_event_is_kept_while_it_is_set_and_rests_for_a_week_when_it_is_cleared(
    session: Session, url: str, name: str
) -> None:
    event = Event(session, name)
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


async def test_a_condition_is_waited_for_under_its_lock(session: Session, other: Session, name: str) -> None:
    there: list[int] = []
    waits = asyncio.Event()

    condition = Condition(session, name)

    async def hold_and_wait() -> list[int]:
        async with condition as lease:
            before = lease.token
            waits.set()
            found = await condition.wait_for(lambda: there)
            assert lease.token > before
            return found

    waiting = asyncio.create_task(hold_and_wait())
    await waits.wait()
    elsewhere = Condition(other, name)
    async with elsewhere:
        there.append(1)
        await elsewhere.notify()
    assert await waiting == [1]
