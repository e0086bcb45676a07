"""Which process a session is: told to the queue when it registers, and forgotten with the session."""

import os
import socket
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments import programs
from tests.instruments.inside import owner_of, session_id_of
from tests.instruments.processes import running
from tests.instruments.waiting import until

DAYS = 3 * 86_400_000


async def records(client: Redis, name: str) -> dict[str, str]:
    """What the queue keeps of processes, by session."""
    asked: Any = client.hgetall(queue_keys(name)["lanes"].decode())
    kept = {field.decode(): value.decode() for field, value in (await asked).items()}
    return {field.removesuffix(":process"): value for field, value in kept.items() if field.endswith(":process")}


async def test_a_session_says_which_process_it_is(url: str, name: str) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, name, int)
        async with running(programs.hold, url, name, 10.0, 1) as other:
            await queue.put(1)
            await other.said("got")
            found = {each.pid: each for each in await queue.sessions()}
            assert set(found) == {os.getpid(), other.pid}
            assert {each.host for each in found.values()} == {socket.gethostname()}
            assert (found[other.pid].held, found[os.getpid()].owner) == (1, owner_of(session))
            await other.kill()


@pytest.mark.parametrize("ending", ["left", "killed"])
async def test_it_is_forgotten_with_the_session(url: str, name: str, ending: str) -> None:
    async with Session.open(url) as session, Redis.from_url(url) as client:
        queue = Queue(session, name, int)
        await queue.put(1)
        if ending == "left":
            async with Session.open(url) as other:
                await (await Queue(other, name, int).get()).nack()
                assert len(await records(client, name)) == 2
        else:
            async with running(programs.hold, url, name, 1.0, 1) as process:
                await process.said("got")
                assert len(await records(client, name)) == 2
                await process.kill()
        await (await queue.get()).ack()  # which waits for what the dead session held
        await until(lambda: records(client, name), lambda kept: set(kept) == {session_id_of(session, name)})


async def test_a_session_of_many_days_keeps_its_record_and_others_lose_theirs(url: str, name: str) -> None:
    async with Session.open(url) as session, Redis.from_url(url) as client:
        queue = Queue(session, name, int)
        await queue.statistics()
        lanes = queue_keys(name)["lanes"].decode()
        long_ago = round(time.time() * 1000) - DAYS
        for field in (f"{session_id_of(session, name)}:process", "nobodynobody.1.10000:process"):
            asked: Any = client.hset(lanes, field, f"{long_ago} 7 there")
            await asked
        async with Session.open(url) as other:
            await Queue(other, name, int).statistics()
            assert set(await records(client, name)) == {session_id_of(session, name), session_id_of(other, name)}
        assert [(each.pid, each.host) for each in await queue.sessions()] == [(7, "there")]


async def test_a_client_that_says_nothing_is_nobody(url: str, name: str) -> None:
    async with Session.open(url) as session, Redis.from_url(url) as client:
        queue = Queue(session, name, int)
        await queue.statistics()
        await client.zadd(queue_keys(name)["sessions"].decode(), {"nobodynobody.1.10000": 9e15})
        (nobody,) = [each for each in await queue.sessions() if each.owner == "nobodynobody"]
        assert (nobody.pid, nobody.host) == (0, "")
