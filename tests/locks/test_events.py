"""Events: how long one lives, what a repeated call does, and what the waiters of a forgotten one wait for."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from shared.concurrency import Event, Session
from shared.concurrency.locks.leases.keys import event_keys
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)

WEEK_MS = 7 * 24 * 3600 * 1000


async def watched(client: Redis, name: str) -> None:
    await until(lambda: client.zcard(event_keys(name)["watchers"]), lambda count: count == 1)


async def test_nobody_who_waits_takes_a_flush_for_a_set(session: Session, client: Redis, name: str) -> None:
    event, keys = Event(session, name), event_keys(name)
    await event.set()
    await event.clear()
    waiting = asyncio.create_task(event.wait())
    await watched(client, name)
    await client.delete(*keys.values())
    await watched(client, name)  # it has looked again
    assert not waiting.done()
    await event.set()
    assert await waiting


async def test_a_set_behind_a_flush_is_not_missed_though_the_clock_was_set_back(
    session: Session, client: Redis, name: str
) -> None:
    event, keys = Event(session, name), event_keys(name)
    ahead = int((time.time() + 3600) * 1_000_000)
    await client.hset(f"{{{name}}}:event", mapping={"set": 0, "generation": ahead})  # type: ignore[misc]
    waiting = asyncio.create_task(event.wait())
    await watched(client, name)
    await client.delete(*keys.values())
    await watched(client, name)
    await event.set()
    await event.clear()
    async with asyncio.timeout(5):
        assert await waiting


async def test_a_set_event_is_kept_a_cleared_one_rests_and_a_deleted_one_is_gone(
    session: Session, client: Redis, name: str
) -> None:
    event, keys = Event(session, name), event_keys(name)
    await event.set()
    assert await client.pttl(keys["event"]) == -1
    await event.clear()
    assert WEEK_MS - 60_000 < await client.pttl(keys["event"]) <= WEEK_MS
    await event.set()
    await event.delete()
    assert not await event.is_set()
    assert not await client.exists(keys["event"])


async def test_whoever_waits_for_a_deleted_event_waits_for_the_next_set(
    session: Session, client: Redis, name: str
) -> None:
    event = Event(session, name)
    waiting = asyncio.create_task(event.wait())
    await watched(client, name)
    await event.delete()
    assert not waiting.done()
    await event.set()
    await event.delete()
    async with asyncio.timeout(5):
        assert await waiting


@pytest.mark.parametrize("step", ["set", "clear", "delete"])
async def test_a_call_that_is_sent_again_does_nothing_over_what_others_did_since(
    proxy: Proxy, other: Session, name: str, step: str
) -> None:
    theirs = Event(other, name)
    async with Session.open(proxy.url) as session:
        mine = Event(session, name)
        await (theirs.clear() if step == "set" else theirs.set())  # and the server knows the script from here on
        met = proxy.drop_nth(1, Fate.DROP_AFTER, lambda command: command.name == "event_set")
        with_answer_lost = asyncio.create_task(getattr(mine, step)())
        await met.wait()
        with proxy.refusing():
            await until(theirs.is_set, lambda is_set: is_set == (step == "set"))
            await (theirs.clear() if step == "set" else theirs.set())
        await with_answer_lost
        assert proxy.count("event_set") == 2
        assert await theirs.is_set() == (step != "set")


async def test_ids_of_calls_are_kept_until_the_answer_is_known_to_have_come(
    session: Session, client: Redis, name: str
) -> None:
    event, keys = Event(session, name), event_keys(name)
    for _ in range(20):
        await event.set()
        await event.clear()
    assert await client.zcard(keys["calls"]) == 1
    for _ in range(1_020):
        await Event(session, name).set()
    assert await client.zcard(keys["calls"]) == 1_000
    assert 0 < await client.pttl(keys["calls"]) <= 600_000
