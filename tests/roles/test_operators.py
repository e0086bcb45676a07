"""An operator's user: every command of the command line that shows or changes something, and nothing else."""

import json

import pytest
from redis.asyncio import Redis

from shared.concurrency import Lock, Queue, Session
from shared.local.embedded import EmbeddedServer
from shared.message import Message
from tests.cli.test_dead_command import message, pipeline
from tests.instruments.granted import granted, refused

pytestmark = pytest.mark.usefixtures("command_line")

WORK = [
    "status", "queue list", "queue show", "queue pause", "queue resume", "queue resize 9", "queue drain --all", "peek jobs",
    "dead list", "dead show ID", "dead replay --id ID", "dead discard --all --yes", "queue cancel one", "lease list",
    "lease show lock", "lease break lock --yes", "queue shutdown --yes", "queue reopen",
]  # fmt: skip


@pytest.mark.slow
async def test_each_command_works(server: EmbeddedServer, admin: Redis) -> None:
    url = await granted(admin, server.url, "operator")
    async with Session.open(server.url) as session:
        queue = Queue(session, "jobs", Message, maxsize=5)
        await queue.put_many([message(1), message(2), message(3)])
        await queue.put(message(4), id="one")
        dead = await queue.get()
        await dead.dead_letter("unwanted")
        await (await queue.get()).dead_letter("unwanted")
        await Lock(session, "lock").acquire()
        for line in WORK:
            words = line.replace("ID", dead.id).split()
            done = pipeline(*words, REDIS_URL=url, PIPELINE_QUEUE="jobs")
            there_is_none = "the queue jobs has no consumer" in done.stderr and line.startswith("queue drain")
            assert there_is_none or (done.returncode, done.stderr) == (0, ""), (line, done.stderr)
    assert await refused(admin) == []


async def test_one_of_one_queue_reaches_no_other(server: EmbeddedServer, admin: Redis) -> None:
    url = await granted(admin, server.url, "operator", "jobs")
    async with Session.open(server.url) as session:
        for name in ("jobs", "other"):
            await Queue(session, name, Message).put(message(1))
    done = pipeline("queue", "pause", "--json", REDIS_URL=url, PIPELINE_QUEUE="jobs")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["queue"] == "jobs"
    done = pipeline("queue", "pause", REDIS_URL=url, PIPELINE_QUEUE="other")
    assert done.returncode == 2
    assert await admin.hget("{other}:settings", "paused") is None  # type: ignore[misc]
