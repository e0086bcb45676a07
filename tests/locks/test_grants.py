"""How often a lease was granted is kept with it: whoever looks now and then learns of holds that came and went."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from shared.concurrency import LeaseBusy, Lock, ReadersWritersLease, Semaphore, Session
from tests.instruments.waiting import resolved, until

Grants = tuple[int, int, int]


async def grants(client: Redis, name: str) -> Grants:
    """To read, to write, permits."""
    kept = await resolved(client.hmget(f"{{{name}}}:lease", ["granted_r", "granted_w", "granted_p"]))
    read, write, permits = (int(count or 0) for count in kept)
    return read, write, permits


def waiting(client: Redis, name: str) -> Callable[[], Awaitable[int]]:
    return lambda: client.zcard(f"{{{name}}}:lease:waiting")


async def test_each_grant_counts_for_its_mode(client: Redis, session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    for _ in range(3):
        async with catalog.read():
            pass
    async with catalog.write():
        pass
    assert await grants(client, name) == (3, 1, 0)


async def test_a_refusal_is_no_grant(client: Redis, session: Session, other: Session, name: str) -> None:
    async with Lock(session, name):
        with pytest.raises(LeaseBusy):
            await Lock(other, name).acquire_nowait()
        assert await grants(client, name) == (0, 0, 1)


async def test_those_who_waited_count_when_they_are_granted(
    client: Redis, session: Session, other: Session, name: str
) -> None:
    here, there = ReadersWritersLease(session, name), ReadersWritersLease(other, name)
    async with here.write() as lease:
        reading = asyncio.create_task(there.read().acquire())
        await until(waiting(client, name), lambda count: count == 1)
        assert await grants(client, name) == (0, 1, 0)
        await lease.downgrade()  # of what was granted: no grant
        held = await reading
        assert await grants(client, name) == (1, 1, 0)
    await held.release()
    assert await grants(client, name) == (1, 1, 0)


async def test_a_semaphore_counts_each_permit(client: Redis, session: Session, other: Session, name: str) -> None:
    here, there = Semaphore(session, name, 2), Semaphore(other, name, 2)
    async with here, there, asyncio.timeout(5):
        third = asyncio.create_task(here.acquire())
        await until(waiting(client, name), lambda count: count == 1)
        assert await grants(client, name) == (0, 0, 2)
    await (await third).release()
    assert await grants(client, name) == (0, 0, 3)
