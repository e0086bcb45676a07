"""The end of a lease that nobody's body depends on: `lease.lost`."""

import asyncio
from typing import Any

import pytest

from shared.concurrency import Condition, Lease, LeaseLost, Lock, ReadersWritersLease, Semaphore, Session
from tests.instruments.lease_waiters import forget

pytestmark = pytest.mark.timeout(180)


async def taken(session: Session, name: str, kind: str) -> Lease:
    catalog = ReadersWritersLease(session, name)
    if kind == "read":
        return await catalog.read().acquire()
    if kind == "write":
        return await catalog.write().acquire()
    return await (Lock(session, name) if kind == "lock" else Semaphore(session, name, 2)).acquire()


kinds = pytest.mark.parametrize("kind", ["lock", "semaphore", "read", "write"])


@kinds
async def test_it_is_true_when_the_server_forgot_the_lease(session: Session, client: Any, name: str, kind: str) -> None:
    lease = await taken(session, name, kind)
    watching = [lease.lost, asyncio.ensure_future(wait(lease))]
    await forget(client, session, name)
    assert await asyncio.gather(*watching) == [True, True]
    assert await lease.lost
    with pytest.raises(LeaseLost):
        await lease.release()


async def wait(lease: Lease) -> bool:
    return await lease.lost


@kinds
async def test_it_is_false_when_it_is_given_back(session: Session, name: str, kind: str) -> None:
    lease = await taken(session, name, kind)
    watching = lease.lost
    assert not watching.done()
    await lease.release()
    assert await watching is False
    assert await lease.lost is False


async def test_it_comes_at_the_deadline(session: Session, name: str) -> None:
    lease = await Lock(session, name, ttl=1.0, max_hold=0.1).acquire()
    assert await lease.lost
    assert lease.seconds_left == 0


async def test_one_of_many_readers_that_leaves_is_not_lost(session: Session, client: Any, name: str) -> None:
    first, second = [await taken(session, name, "read") for _ in range(2)]
    watching = first.lost, second.lost
    await first.release()
    assert await watching[0] is False
    assert not watching[1].done()
    await forget(client, session, name)
    assert await watching[1]


async def test_a_watcher_that_is_cancelled_harms_no_other(session: Session, client: Any, name: str) -> None:
    lease = await taken(session, name, "lock")
    first, second = lease.lost, lease.lost
    first.cancel()
    await forget(client, session, name)
    assert await second
    assert first.cancelled()


async def test_the_body_of_an_async_with_can_be_watched_too(session: Session, client: Any, name: str) -> None:
    async with Lock(session, name) as lease:
        watching = lease.lost
    assert await watching is False
    with pytest.raises(LeaseLost):
        async with Lock(session, name) as lease:
            watching = lease.lost
            await forget(client, session, name)
            await asyncio.Event().wait()
    assert await watching


async def test_it_is_lost_when_the_session_closes(url: str, name: str) -> None:
    async with Session.open(url) as session:
        lease = await taken(session, name, "lock")
        watching = lease.lost
    assert await watching


async def test_a_release_that_finds_nothing_is_a_loss(session: Session, client: Any, name: str) -> None:
    lease = await taken(session, name, "lock")
    watching = lease.lost
    await client.delete(f"{{{name}}}:lease:holders")
    with pytest.raises(LeaseLost):
        await lease.release()
    assert await watching


async def test_it_is_not_lost_while_a_condition_is_waited_for(session: Session, other: Session, name: str) -> None:
    condition, elsewhere = Condition(session, name), Condition(other, name)
    watched: list[asyncio.Future[bool]] = []

    async def hold_and_wait() -> None:
        async with condition as lease:
            watched.append(lease.lost)
            waiting = asyncio.create_task(look(lease))
            await condition.wait()
            await waiting
            assert not any(one.done() for one in watched)

    async def look(lease: Lease) -> None:
        async with elsewhere:  # so it was given back
            watched.append(lease.lost)
            await elsewhere.notify()

    await hold_and_wait()
    assert await asyncio.gather(*watched) == [False, False]
