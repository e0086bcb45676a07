"""What a lease learns though the notification of it was lost, and what it relies on though an answer was late."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import Condition, Event, LeaseLost, Lock, ReadersWritersLease, Session
from shared.concurrency.locks.leases.keys import condition_keys, event_keys, lease_keys
from shared.concurrency.session.clock import boottime, margin
from shared.concurrency.session.names import StoredName
from tests.instruments import inside
from tests.instruments.lease_waiters import forget
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until


async def test_a_renewal_says_that_a_writer_waits(session: Session, other: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    async with catalog.read() as lease:
        writing = asyncio.create_task(ReadersWritersLease(other, name).write().acquire())
        await until(catalog.statistics, lambda seen: len(seen.waiters) == 1)
        asking = inside.lease_participant_of(session, name).asking
        asking.note(closed=False, asked_at=boottime() + 60)  # as if it had not been notified
        before = inside.hold_of(lease).deadline
        inside.renew_now(session)

        async def deadline() -> float:
            return inside.hold_of(lease).deadline

        await until(deadline, lambda seen: seen > before)
        assert inside.joined(catalog) is None
        writing.cancel()
        await asyncio.wait({writing})


async def test_a_renewal_counts_from_when_it_was_sent(session: Session, name: str) -> None:
    lease = await Lock(session, name).acquire()
    participant, hold = inside.lease_participant_of(session, name), inside.hold_of(lease)
    (call,) = participant.renewals(inside.run_id_of(session), 0.0)
    sent_at = boottime() - 3.0  # its answer took so long
    hold.deadline = boottime() + 1.0
    participant.renewed(call, sent_at, [b"1000", 0, b"11000"])
    assert hold.deadline == sent_at + 10.0 - margin(hold.ttl)
    await lease.release()


@pytest.mark.session_ttl(60)
async def test_what_the_server_forgot_is_lost_with_the_next_renewal(session: Session, client: Redis, name: str) -> None:
    lease = await Lock(session, name).acquire()
    await forget(client, session, name)
    async with asyncio.timeout(20):  # its deadline is three times as far away
        assert await lease.lost


async def test_what_has_expired_is_not_released(session: Session, client: Redis, name: str) -> None:
    lease = await Lock(session, name).acquire()
    await client.zadd(lease_keys(StoredName.of(name))["holders"], {inside.hold_of(lease).id: 1})
    with pytest.raises(LeaseLost):
        await lease.release()


async def test_a_lease_reads_from_the_call_of_downgrade_on(through_proxy: Session, proxy: Proxy, name: str) -> None:
    lease = await ReadersWritersLease(through_proxy, name).write().acquire()
    with proxy.frozen():
        downgrading = asyncio.create_task(lease.downgrade())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (lease.mode, downgrading.done()) == ("read", False)
    await downgrading
    await lease.release()


async def test_a_set_between_two_looks_is_seen_though_it_was_cleared(session: Session, name: str) -> None:
    event, keys = Event(session, name), event_keys(StoredName.of(name))
    await event.set()
    await event.clear()
    owner = inside.owner_of(session)
    found, seen = await inside.ask(session, "event_look", keys, owner, "", 0)
    assert not found
    await event.set()
    await event.clear()
    assert (await inside.ask(session, "event_look", keys, owner, seen, 0))[0]
    await event.delete()


async def test_who_has_lost_the_lock_notifies_nobody(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    condition, theirs = Condition(session, name), Condition(other, name)
    keys = condition_keys(StoredName.of(name))

    async def wait() -> None:
        async with theirs:
            await theirs.wait()

    waiting = asyncio.create_task(wait())
    await until(lambda: client.zcard(keys["waiters"]), lambda count: count == 1)
    with pytest.raises(LeaseLost):
        async with condition as lease:
            await client.zadd(lease_keys(StoredName.of(name))["holders"], {inside.hold_of(lease).id: 1})
            await condition.notify()
    assert await client.zcard(keys["waiters"]) == 1
    waiting.cancel()
    await asyncio.wait({waiting})
