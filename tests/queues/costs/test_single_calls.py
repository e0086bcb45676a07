"""What single calls cost the server where a queue has grown: they look at a bounded number of things."""

import asyncio
import time
from typing import Any

import pytest

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.grown import fill
from tests.instruments.inside import ask_at, session_id_at
from tests.instruments.server_time import GENEROUS, timed

MANY = 100_000


def ago(hours: float) -> int:
    return int((time.time() - hours * 3600) * 1000)


async def register_another(server: EmbeddedServer) -> None:
    async with Session.open(server.url) as session:
        await Queue(session, "jobs", int).statistics()


@pytest.mark.usefixtures("queue")
async def test_a_registration_among_100_000_records_of_lanes(server: EmbeddedServer, client: Any) -> None:
    await fill(client, "lanes", f"{ago(1)} 1 a1", behind=":put")
    async with timed(client) as calls:
        await register_another(server)
    assert calls.worst < GENEROUS
    assert await client.hlen("{jobs}:lanes") >= MANY


@pytest.mark.usefixtures("queue")
async def test_registrations_prune_more_old_records_than_they_add(server: EmbeddedServer, client: Any) -> None:
    await fill(client, "lanes", f"{ago(25)} 1 a1", behind=":put", count=1000)
    for seen in range(1, 4):
        await register_another(server)
        left = await client.hlen("{jobs}:lanes")
        assert 1000 - 20 * seen <= left < 1000 - 10 * seen


@pytest.mark.usefixtures("queue")
async def test_a_registration_prunes_ids_that_have_expired(server: EmbeddedServer, client: Any) -> None:
    """Be it that nobody puts with an id any more."""
    await fill(client, "ids", "1 abc", count=250)
    await fill(client, "ids:due", 1, count=250)
    left = []
    for _ in range(3):
        await register_another(server)
        left.append((await client.hlen("{jobs}:ids"), await client.zcard("{jobs}:ids:due")))
    assert left == [(150, 150), (50, 50), (0, 0)]


@pytest.mark.usefixtures("queue")
async def test_a_registration_among_100_000_idle_sessions(server: EmbeddedServer, client: Any) -> None:
    await fill(client, "idle", 1, behind=".1.60000")
    async with timed(client) as calls:
        await register_another(server)
    assert calls.worst < GENEROUS


async def test_a_new_session_ends_the_wait_of_the_former_one(client: Any, queue: Queue[int]) -> None:
    """Also where sessions between them were over before they were registered."""
    session = session_id_at(queue)
    owner, _, rest = session.partition(".1.")
    await client.zadd("{jobs}:idle", {session: 1, f"{owner}.2.{rest}": 2, "somebodyelse.1.60000": 3})
    await client.hset("{jobs}:handed", mapping={session: "", f"{owner}.2.{rest}": "an entry"})
    await ask_at(queue, "register", f"{owner}.7.{rest}", 1, *[""] * 6, 86_400_000, 0, 0, "")
    assert await client.zrange("{jobs}:idle", 0, -1) == [b"somebodyelse.1.60000"]
    assert await client.hgetall("{jobs}:handed") == {f"{owner}.2.{rest}".encode(): b"an entry"}
    await client.hdel("{jobs}:handed", f"{owner}.2.{rest}")


async def test_the_end_of_a_queue_that_100_000_sessions_join(client: Any, queue: Queue[int]) -> None:
    await queue.put(1)
    delivery = await queue.get()
    joining = asyncio.create_task(queue.join())
    await fill(client, "joiners", ago(0), behind=".1.60000")
    await client.hset("{jobs}:settings", "joining", 1)
    async with timed(client) as calls:
        await delivery.ack()
    assert calls.worst < GENEROUS
    async with asyncio.timeout(5):
        await joining


async def test_those_who_joined_and_are_gone_are_pruned(client: Any, queue: Queue[int]) -> None:
    await fill(client, "joiners", ago(1), behind=".1.60000", count=250)
    await queue.put(1)
    left = []
    for _ in range(3):
        assert await ask_at(queue, "join", session_id_at(queue)) == 1
        left.append(await client.zcard("{jobs}:joiners"))
    assert left == [151, 51, 1]
    await (await queue.get()).ack()


async def test_resuming_with_100_000_idle_sessions(client: Any, queue: Queue[int]) -> None:
    await queue.pause()
    await fill(client, "idle", 1, behind=".1.60000")
    async with timed(client) as calls:
        await queue.resume()
    assert calls.worst < GENEROUS


async def test_a_shutdown_with_100_000_idle_sessions(client: Any, queue: Queue[int]) -> None:
    await fill(client, "idle", 1, behind=".1.60000")
    async with timed(client) as calls:
        await queue.shutdown()
    assert calls.worst < GENEROUS
