"""A monitor's user: it reads everything, registers nowhere, and can write nothing."""

from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from monitor.link import open_link
from monitor.page.letters import newest_letter
from monitor.watch import open_watch
from shared.concurrency import Lock, Queue, Session
from shared.concurrency.queues.membership.keys import queue_keys
from shared.concurrency.session.scripts import load
from shared.local.embedded import EmbeddedServer
from tests.cli.test_dead_command import pipeline
from tests.instruments.granted import granted, refused

pytestmark = pytest.mark.usefixtures("command_line")


async def everything(admin: Redis) -> dict[bytes, Any]:
    """All keys and what they hold."""
    return {key: await admin.dump(key) for key in sorted(await admin.keys("*"))}


async def fill(session: Session) -> None:
    """Two queues, one in a group, with what a page shows."""
    queue = Queue(session, "jobs", int)
    await queue.put_many([1, 2, 3])
    await (await queue.get()).dead_letter("unwanted")
    await Queue(session, "jobs", int, group="shop").put(1, key="customer")


async def test_a_page_is_read_and_no_trace_is_left(server: EmbeddedServer, admin: Redis) -> None:
    url = await granted(admin, server.url, "monitor")
    async with Session.open(server.url) as session, Lock(session, "lock"):
        await fill(session)
        before = await everything(admin)
        async with open_link(url) as link, open_watch(link) as watch:
            seen = await watch.snapshot()
            letter = await newest_letter(link, "jobs", "unwanted", "")
        assert await everything(admin) == before
    assert (seen.problems, [each.name for each in seen.queues]) == ((), ["jobs", "shop/jobs"])
    assert [each.name for each in seen.leases] == ["lock"]
    assert letter is not None
    assert await refused(admin) == []


@pytest.mark.slow
async def test_the_commands_that_look_work_and_leave_no_trace(server: EmbeddedServer, admin: Redis) -> None:
    url = await granted(admin, server.url, "monitor")
    async with Session.open(server.url) as session:
        await fill(session)
    before = await everything(admin)
    for words in (("status",), ("top", "--count", "1"), ("queue", "list"), ("peek", "jobs")):
        done = pipeline(*words, REDIS_URL=url)
        assert (done.returncode, done.stderr) == (0, ""), words
        assert "jobs" in done.stdout or "2" in done.stdout
    assert await everything(admin) == before
    assert await refused(admin) == []


async def test_a_server_that_has_forgotten_the_scripts_gets_them_from_a_monitor(
    server: EmbeddedServer, admin: Redis
) -> None:
    url = await granted(admin, server.url, "monitor")
    async with Session.open(server.url) as session:
        await fill(session)
    async with open_link(url) as link, open_watch(link) as watch:
        for _ in range(2):
            await admin.script_flush()
            assert (await watch.snapshot()).problems == ()


async def test_it_reads_a_replica(server: EmbeddedServer, admin: Redis) -> None:
    async with Session.open(server.url) as session:
        await fill(session)
    await admin.replicaof("127.0.0.1", 1)
    url = await granted(admin, server.url, "monitor")
    async with open_link(url) as link, open_watch(link) as watch:
        seen = await watch.snapshot()
    assert (seen.server.role, seen.problems) == ("slave", ())
    done = pipeline("queue", "list", "--json", REDIS_URL=url)
    assert (done.returncode, done.stderr) == (0, "")


async def test_it_can_write_nothing(server: EmbeddedServer, admin: Redis) -> None:
    url = await granted(admin, server.url, "monitor", "jobs")
    put = load("put")
    await admin.script_load(put.source)
    async with Redis.from_url(url) as client:
        keys = [queue_keys("jobs")[word] for word in put.keys]
        for command in (
            ("EVALSHA", put.sha, len(keys), *keys), ("EVALSHA_RO", put.sha, len(keys), *keys), ("HSET", "{jobs}:settings", "a", "b"),
            ("DEL", "{jobs}:settings"), ("PUBLISH", "weir:x", "x"), ("SUBSCRIBE", "weir:x"), ("HGETALL", "{other}:settings"),
        ):  # fmt: skip
            with pytest.raises((NoPermissionError, ValueError) if command[0] != "EVALSHA_RO" else Exception):
                await client.execute_command(*command)
    assert await admin.exists("{jobs}:settings") == 0
