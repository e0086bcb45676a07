"""Sessions that end leave nothing behind, however many; what killed ones leave costs later ones little."""

import asyncio
import statistics
import time
from typing import Any, Final

import pytest

from shared.concurrency import Queue, Session
from shared.concurrency.session.scripts import load
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.grown import fill
from tests.instruments.server_time import GENEROUS, Calls, timed
from tests.instruments.waiting import until

RECORDS: Final = (":put", ":take", ":line")
A_DAY: Final = 300_000
"""Of sessions."""


async def work_once(server: EmbeddedServer) -> None:
    """What a process does that lives for one message: it puts, takes, acknowledges with a write, and ends."""
    async with Session.open(server.url) as session:
        queue = Queue(session, "jobs", int)
        inside.member_at(queue).registration.can_drain()
        await queue.put(1)
        delivery = await queue.get()
        delivery.effects.set("last", "1")
        await delivery.ack()


async def sizes(client: Any) -> dict[bytes, int]:
    """How much there is under each key of the queue."""
    found: dict[bytes, int] = {}
    async for key in client.scan_iter(match="{jobs}*", count=1000):
        count = {b"hash": client.hlen, b"zset": client.zcard, b"list": client.llen}[await client.type(key)]
        found[key] = await count(key)
    return found


async def registrations(server: EmbeddedServer, client: Any, count: int) -> Calls:
    async with timed(client, load("register")) as calls:
        for _ in range(count):
            async with Session.open(server.url) as session:
                await Queue(session, "jobs", int).put(1)
    assert len(calls.milliseconds) == count
    return calls


async def test_a_session_that_ends_leaves_nothing(server: EmbeddedServer, client: Any) -> None:
    await work_once(server)
    before = await sizes(client)
    assert b"{jobs}:lanes" not in before
    for _ in range(5):
        await work_once(server)
    assert await sizes(client) == before


async def test_a_session_that_is_over_when_it_leaves_leaves_no_records(client: Any, queue: Queue[int]) -> None:
    await queue.put(1)
    session = inside.session_id_at(queue)
    await client.zrem("{jobs}:sessions", session)
    assert await inside.ask_at(queue, "leave", session, b"", b"-") == [0, 0, 0]
    assert await client.hkeys("{jobs}:lanes") == [f"{session}:process".encode()]


@pytest.mark.slow
@pytest.mark.timing
@pytest.mark.measured
@pytest.mark.usefixtures("queue")
async def test_a_registration_after_300_000_killed_sessions_in_a_day(server: EmbeddedServer, client: Any) -> None:
    """Under 1 ms of the server, as issue 20 asks for; at the beginning and at the end."""
    first = await registrations(server, client, 200)
    for behind in RECORDS:
        await fill(client, "lanes", f"{round((time.time() - 3600) * 1000)} 1 a1", behind=behind, count=A_DAY)
    last = await registrations(server, client, 200)
    assert await client.hlen("{jobs}:lanes") >= len(RECORDS) * A_DAY
    figures = [f"{1000 * statistics.median(calls.milliseconds):.0f} us" for calls in (first, last)]
    assert statistics.median(last.milliseconds) < 1.0, figures
    assert last.worst < GENEROUS


@pytest.mark.slow
async def test_killed_sessions_leave_nothing_once_somebody_takes(server: EmbeddedServer, client: Any) -> None:
    async with Session.open(server.url, ttl=60) as session:
        queue = Queue(session, "jobs", int)
        await queue.put(1)
        await (await queue.get()).ack()
        before = await sizes(client)
        count = 5_000
        await fill(client, "sessions", 1, behind=".1.10000", count=count)
        await fill(client, "idle", 1, behind=".1.10000", count=count)
        for behind, value in (("process", f"{round(time.time() * 1000)} 7 there"), ("load", "1 {}")):
            await fill(client, "lanes", value, behind=f".1.10000:{behind}", count=count)
        await fill(client, "handed", "", behind=".1.10000", count=count)
        waiting = asyncio.create_task(queue.get())
        await until(lambda: client.zcard("{jobs}:sessions"), lambda left: left == 1, seconds=100)
        waiting.cancel()
        await asyncio.wait({waiting})
        after = await sizes(client)
    waits = {b"{jobs}:idle", b"{jobs}:handed"}
    assert {key: count for key, count in after.items() if key not in waits} == before
    assert all(after.get(key, 0) <= 1 for key in waits)
