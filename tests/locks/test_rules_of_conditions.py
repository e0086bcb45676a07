"""The rules of leases that tell of restarts, conditions and events: 12 and 13."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Condition,
    Event,
    LeaseLost,
    Lock,
    ReadersWritersLease,
    Session,
)
from shared.concurrency.locks.leases.keys import lease_keys
from shared.local.embedded import EmbeddedServer
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


# --- 12: restart ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_rule_12_a_server_that_kept_its_data_grants_nothing_new_for_one_time_to_live(
    durable: EmbeddedServer, name: str
) -> None:
    async with (
        Session.open(durable.url, ttl=3.0) as holder,
        Session.open(durable.url, ttl=3.0) as other,
        ReadersWritersLease(holder, name).read() as lease,
    ):
        await asyncio.to_thread(durable.kill)
        durable.start()
        back_at = time.monotonic()
        async with ReadersWritersLease(other, name).read():
            assert time.monotonic() - back_at > 2.0  # though a reader might come in beside another
        lease.check()  # renewals went on


async def test_rule_12_a_server_that_came_back_empty_has_forgotten(server: EmbeddedServer, name: str) -> None:
    async with Session.open(server.url, ttl=60.0) as session:
        with pytest.raises(LeaseLost):
            async with Lock(session, name):
                await asyncio.to_thread(server.kill)
                server.start()
                await asyncio.Event().wait()  # at once, and not in 20 s


async def test_rule_12_a_deadline_too_far_away_is_cut(client: Redis, session: Session, name: str) -> None:
    lock = Lock(session, name, ttl=1.0)
    await lock.acquire()
    stranger = "aaaaaaaaaaaa.1.1000"
    await client.hset(f"{{{name}}}:lease", stranger, "p 1 1 ")  # type: ignore[misc]
    await client.zadd(f"{{{name}}}:lease:holders", {stranger: time.time() * 1000 + 3_600_000})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await Lock(session, name, ttl=1.0).acquire()
    await until(lock.statistics, lambda now: all(holder.seconds_left <= 1.0 for holder in now.holders))


# --- 13: conditions and events ----------------------------------------------------------------------------------------


async def test_rule_13_wait_and_notify_need_the_lock(session: Session, name: str) -> None:
    condition = Condition(session, name)
    calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [condition.wait, condition.notify, condition.notify_all]
    for call in calls:
        with pytest.raises(RuntimeError):
            await call()
    with pytest.raises(RuntimeError):
        await condition.wait_for(lambda: True)


@pytest.mark.usefixtures("only_notified")
async def test_rule_13_a_cancelled_wait_holds_the_lock_again_and_passes_the_notification_on(
    client: Redis, session: Session, other: Session, name: str
) -> None:
    # It looks again in a third of its time to live.
    condition, elsewhere = Condition(session, name, ttl=200.0), Condition(other, name, ttl=200.0)
    woken: list[str] = []

    async def wait(who: str, claim: Condition) -> None:
        async with claim as lease:
            try:
                await claim.wait()
                woken.append(who)
            finally:
                lease.check()

    first = asyncio.create_task(wait("first", condition))
    key = f"{{{name}}}:condition:waiters"
    await until(lambda: client.zcard(key), lambda count: count == 1)
    second = asyncio.create_task(wait("second", elsewhere))
    await until(lambda: client.zcard(key), lambda count: count == 2)
    async with elsewhere:
        await elsewhere.notify()
        first.cancel()  # notified, and cancelled before it has the lock again
    async with asyncio.timeout(100):
        await asyncio.wait({first})
        assert first.cancelled()
        await second
    assert woken == ["second"]


async def test_rule_13_notify_of_a_lost_lock_wakes_nobody(client: Redis, session: Session, name: str) -> None:
    condition = Condition(session, name)
    with pytest.raises(LeaseLost):
        async with condition:
            await client.delete(*lease_keys(name).values())
            await condition.notify()


@pytest.mark.usefixtures("only_notified")
async def test_rule_13_set_and_clear_between_two_looks_is_not_missed(
    client: Redis, session: Session, other: Session, name: str
) -> None:
    event, elsewhere = Event(session, name), Event(other, name)
    waiting = [asyncio.create_task(event.wait()) for _ in range(3)]
    await until(lambda: client.zcard(f"{{{name}}}:event:watchers"), lambda count: count == 1)
    await elsewhere.set()
    await elsewhere.clear()
    async with asyncio.timeout(100):
        assert await asyncio.gather(*waiting) == [True] * 3
