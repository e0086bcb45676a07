"""Very many puts with one acknowledgement: they are staged before, and count from it on, all or none."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.census import take_census
from tests.instruments.folds import MANY, nothing_staged, stages, taken, waits, with_puts
from tests.instruments.proxy import Proxy
from tests.instruments.server_time import GENEROUS, timed
from tests.instruments.waiting import until


async def test_they_go_in_in_their_order(session: Session, client: Any, name: str) -> None:
    first, second = stages(session, name)
    await second.put(-1)
    delivery = await with_puts(first, second)
    await delivery.ack()
    seen = await second.statistics()
    assert (seen.pending + seen.puts_waiting, seen.put_total) == (MANY + 1, MANY + 1)
    await second.put(-2)
    assert await taken(second, MANY + 2) == [-1, *range(MANY), -2]
    await nothing_staged(client, second)
    assert await waits(second) == (0, 0, 0)


async def test_what_has_room_goes_in_though_nobody_takes(session: Session, client: Any, name: str) -> None:
    first, second = stages(session, name)
    await (await with_puts(first, second)).ack()
    await until(lambda: waits(second), lambda seen: seen == (MANY, 0, 0))
    await nothing_staged(client, second)


async def test_the_bound_holds_and_they_go_in_in_their_turn(
    session: Session, other: Session, client: Any, name: str
) -> None:
    first, second = stages(session, name, maxsize=700)
    theirs = Queue(other, second.name, int)
    await (await with_puts(first, second)).ack()
    await until(lambda: waits(second), lambda seen: seen == (700, MANY - 700, MANY - 700))
    (await take_census(client, second.name)).check()
    behind = asyncio.create_task(theirs.put(-1))
    assert await taken(theirs, MANY + 1) == [*range(MANY), -1]
    await behind
    await nothing_staged(client, second)


@pytest.mark.usefixtures("only_notified")
async def test_who_waits_there_is_woken(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name)
    theirs = Queue(other, second.name, int)
    getting = asyncio.create_task(taken(theirs, 3))
    delivery = await with_puts(first, second)
    await until(lambda: asyncio.sleep(0, inside.is_idle(other, second.name)), bool)
    async with asyncio.timeout(100):
        await delivery.ack()
        assert await getting == [0, 1, 2]


async def test_nothing_more_is_taken_while_they_wait(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name, maxsize=1)
    theirs = Queue(other, second.name, int)
    await (await with_puts(first, second)).ack()
    assert inside.is_backpressured(first)
    assert await taken(theirs, MANY - 2) == list(range(MANY - 2))
    await until(lambda: asyncio.sleep(0, inside.is_backpressured(first)), lambda is_on: not is_on)
    assert len(await taken(theirs, 2)) == 2


@pytest.mark.slow
async def test_a_notice_that_is_lost_is_made_up_for(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name, maxsize=1)
    theirs = Queue(other, second.name, int)
    await (await with_puts(first, second)).ack()
    inside.forget_forwards(second)  # as if nobody had told us
    assert await taken(theirs, MANY) == list(range(MANY))
    await first.put(5)
    assert await taken(first, 1) == [5]


async def test_a_shutdown_lets_them_in_and_one_at_once_makes_dead_letters(
    session: Session, client: Any, name: str
) -> None:
    first, second = stages(session, name, maxsize=700)
    await (await with_puts(first, second)).ack()
    await second.shutdown()
    (await take_census(client, second.name)).check()
    assert await taken(second, 1000) == list(range(1000))
    await second.shutdown(immediate=True)
    assert await waits(second) == (0, 0, 0)
    assert (await second.statistics()).dead == MANY - 1000
    await nothing_staged(client, second)
    assert await client.hget(inside.member_at(second).keys["totals"], "folded") == b"0"


async def test_small_acknowledgements_are_one_call(url: str, tmp_path: Path, name: str) -> None:
    async with Proxy(url, tmp_path) as proxy, Session.open(proxy.url) as session:
        first, second = stages(session, name)
        await (await with_puts(first, second, 1000)).ack()
        assert (proxy.count("stage"), proxy.count("let_in"), proxy.count("settle_with_effects")) == (0, 0, 1)
        assert await waits(second) == (1000, 0, 0)


@pytest.mark.parametrize("maxsize", [0, 100])
async def test_45_000_hold_the_server_for_milliseconds(server: EmbeddedServer, maxsize: int) -> None:
    async with (
        Redis.from_url(server.url, protocol=3) as client,
        Session.open(server.url, ttl=60) as session,
    ):
        first, second = stages(session, "jobs", maxsize)
        delivery = await with_puts(first, second, 45_000)
        async with timed(client) as calls:
            await delivery.ack()
            room = maxsize or 45_000
            await until(lambda: waits(second), lambda seen: seen == (room, 45_000 - room, 45_000 - room))
        assert len(calls.milliseconds) > 45_000 / 500
        assert calls.worst < GENEROUS
        await nothing_staged(client, second)
