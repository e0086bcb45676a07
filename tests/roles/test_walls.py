"""Where the rights of a role for one queue end, and what inside of them the server cannot tell apart.

What is asked for here is not carried out: the server says whether it would be (ACL DRYRUN).
"""

from typing import Final

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from cli.roles import ROLES
from shared.concurrency import Lock, Queue, ServerRefused, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.granted import granted

OUTSIDE: Final = (
    "GET {other}:secret", "SET {other}:secret x", "DEL {other}:pending", "LRANGE {other}:pending 0 -1", "LPOP {other}:pending",
    "RPUSH {other}:pending x", "HGETALL {other}:settings", "HSET {other}:lease a b", "ZADD {other}:sessions 1 x", "GET secret", "GET jobs",
    "RENAME {jobs}:pending {other}:pending",
)  # fmt: skip
"""Keys of another queue, another lock and of the application."""
OVER_ALL: Final = (
    "KEYS *", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "CONFIG GET *", "CONFIG SET requirepass x", "ACL LIST", "ACL SETUSER x on",
    "ACL WHOAMI", "CLIENT LIST", "CLIENT KILL ID 1", "CLIENT PAUSE 1000", "EVAL x 0", "SCRIPT FLUSH", "SCRIPT KILL", "FUNCTION LOAD x",
    "FUNCTION LIST", "DEBUG SLEEP 1", "SHUTDOWN", "SAVE", "BGSAVE", "BGREWRITEAOF", "MONITOR", "REPLICAOF NO ONE", "SLOWLOG GET",
    "MODULE LIST", "MIGRATE h 1 k 0 1", "DUMP {jobs}:pending", "RESTORE {jobs}:pending 0 x", "RANDOMKEY", "LATENCY LATEST", "MEMORY DOCTOR",
)  # fmt: skip
"""What is for whoever deploys: the server itself, its users, its scripts, its data as a whole."""
CHANNELS: Final = ("PUBLISH elsewhere x", "SUBSCRIBE elsewhere", "PSUBSCRIBE *")
"""Channels of others."""
INSIDE: Final = {
    "producer": ("LPOP {jobs}:pending", "LRANGE {jobs}:pending 0 -1", "RPUSH {jobs}:pending x", "DEL {jobs}:settings", "PUBLISH weir:x x"),
    "consumer": ("HDEL {jobs}:dead x", "SET {jobs}:mine x", "RPUSH {jobs}:pending x", "DEL {jobs}:settings", "PUBLISH weir:x x"),
    "clock": ("DEL arq:queue", "SET arq:job:of-another x", "RPUSH {jobs}:pending x"),
    "operator": ("DEL {jobs}:dead", "LPOP {jobs}:pending", "SCAN 0"),
    "monitor": ("LRANGE {jobs}:pending 0 -1", "HGETALL {jobs}:dead", "SCAN 0"),
}  # fmt: skip
"""Role -> what it can do past all scripts, for a server knows commands and keys, and no scripts."""


async def would_run(admin: Redis, user: str, command: str) -> bool:
    """Whether the server would carry that out for a user."""
    try:
        answer = await admin.execute_command("ACL", "DRYRUN", user, *command.split())  # type: ignore[no-untyped-call]
    except ResponseError as error:
        raise AssertionError(f"{command}: {error}") from error  # no command of this server, or a wrong one
    return bool(answer in (b"OK", True))


@pytest.mark.parametrize("role", ROLES)
async def test_outside_of_its_queue_it_may_do_nothing(server: EmbeddedServer, admin: Redis, role: str) -> None:
    await granted(admin, server.url, role, "jobs")
    refused = (*OUTSIDE, *OVER_ALL, *CHANNELS)
    assert [command for command in refused if await would_run(admin, role, command)] == []
    # A control: nothing of it is refused for another reason than the rights of the role.
    assert [command for command in refused if not await would_run(admin, "default", command)] == []


@pytest.mark.parametrize("role", ["producer", "consumer", "clock", "operator"])
async def test_by_the_calls_of_the_project_it_reaches_no_other_name(
    server: EmbeddedServer, admin: Redis, role: str
) -> None:
    url = await granted(admin, server.url, role, "jobs")
    async with Session.open(server.url) as theirs:
        await Queue(theirs, "other", int).put(1)
    before = {key: await admin.dump(key) for key in await admin.keys("*")}
    async with Session.open(url) as session:
        for call in (
            Queue(session, "other", int).put(2),
            Queue(session, "other", int).get(),
            Lock(session, "other").acquire(),
        ):
            with pytest.raises(ServerRefused, match="ACL"):
                await call
    assert {key: await admin.dump(key) for key in await admin.keys("*")} == before


@pytest.mark.parametrize("role", ROLES)
async def test_inside_of_its_queue_the_server_tells_no_scripts_apart(
    server: EmbeddedServer, admin: Redis, role: str
) -> None:
    await granted(admin, server.url, role, "jobs")
    assert [command for command in INSIDE[role] if not await would_run(admin, role, command)] == []


async def test_a_producer_s_user_can_store_more_than_the_bound(server: EmbeddedServer, admin: Redis) -> None:
    url = await granted(admin, server.url, "producer", "jobs")
    async with Session.open(url) as session, Redis.from_url(url) as client:
        queue = Queue(session, "jobs", int, maxsize=1)
        await queue.put(1)
        await client.rpush("{jobs}:pending", b"of another program")
        assert await queue.qsize() == 2
        with pytest.raises(NoPermissionError):
            await client.rpush("{other}:pending", b"of another program")
