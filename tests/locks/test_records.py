"""What leases, conditions and events keep in their keys, for how long, and what they forget."""

import asyncio
import time
from typing import Any

from shared.concurrency import Condition, Event, Session
from shared.concurrency.locks.leases.keys import condition_keys, event_keys, lease_keys
from tests.instruments import inside
from tests.instruments.waiting import until

TEN_MINUTES = 600_000


async def test_withdrawals_are_kept_for_ten_minutes(session: Session, client: Any, name: str) -> None:
    keys, now = lease_keys(name), time.time() * 1000
    before = {"old": now - TEN_MINUTES - 5_000, "recent": now - TEN_MINUTES + 30_000}
    await client.zadd(keys["withdrawn"], before)
    await inside.ask(session, "release", keys, "late", 1, "a run")
    assert await client.zrange(keys["withdrawn"], 0, -1) == [b"recent", b"late"]
    assert TEN_MINUTES - 30_000 < await client.pttl(keys["withdrawn"]) <= TEN_MINUTES


async def test_a_waiter_that_has_gone_silent_takes_no_notification_and_is_forgotten(
    session: Session, client: Any, name: str
) -> None:
    condition, keys = Condition(session, name), condition_keys(name)
    silent = inside.new_id_of(session)  # its process lives, and would be told

    async def wait() -> None:
        async with condition:
            await condition.wait()

    waiting = asyncio.create_task(wait())
    await until(lambda: client.zcard(keys["waiters"]), lambda count: count == 1)
    async with condition:
        await client.zadd(keys["waiters"], {silent: 1})
        await client.zadd(keys["alive"], {silent: 1})
        await condition.notify()
    async with asyncio.timeout(5):
        await waiting
    assert await client.exists(*(keys[word] for word in ("waiters", "alive", "notified"))) == 0


async def test_who_was_notified_and_never_confirmed_is_forgotten_after_ten_minutes(
    session: Session, client: Any, name: str
) -> None:
    condition, keys, now = Condition(session, name), condition_keys(name), time.time() * 1000
    before = {"old": now - TEN_MINUTES - 5_000, "recent": now - TEN_MINUTES + 30_000}
    await client.zadd(keys["notified"], before)
    async with condition:
        await condition.notify()
    assert await client.zrange(keys["notified"], 0, -1) == [b"recent"]
    assert TEN_MINUTES - 30_000 < await client.pttl(keys["notified"]) <= TEN_MINUTES


async def test_who_watches_an_event_no_more_is_forgotten(session: Session, client: Any, name: str) -> None:
    event, keys = Event(session, name), event_keys(name)
    await client.zadd(keys["watchers"], {"gone": 1})
    waiting = asyncio.create_task(event.wait())
    watching = inside.owner_of(session).encode()
    await until(lambda: client.zrange(keys["watchers"], 0, -1), lambda seen: seen == [watching])
    await event.set()
    assert await waiting
    assert await client.exists(keys["watchers"]) == 0
