"""A server that refuses for now, with a word of its own for why: calls wait until it accepts again, and none fails."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.concurrency import Lock, Queue, ServerRefused, Session
from shared.concurrency.session.scripts import load
from shared.concurrency.session.server_errors import Postponed, translate
from shared.local.binary import server_binary
from shared.local.embedded import EmbeddedServer
from tests.instruments.emptying import take
from tests.instruments.waiting import resolved, until

ASKED: Final = ("put", "settle_and_take", "acquire")


@contextlib.asynccontextmanager
async def read_only(client: Redis, folder: Path) -> AsyncIterator[None]:  # noqa: ARG001
    await client.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
    yield
    await client.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]


@contextlib.asynccontextmanager
async def without_replicas(client: Redis, folder: Path) -> AsyncIterator[None]:  # noqa: ARG001
    await client.config_set("min-replicas-to-write", 1)
    yield
    await client.config_set("min-replicas-to-write", 0)


@contextlib.asynccontextmanager
async def with_a_disk_that_fails(client: Redis, folder: Path) -> AsyncIterator[None]:
    (folder / "dump.rdb" / "in the way").mkdir(parents=True)
    await client.config_set("save", "3600 1000000")
    await client.bgsave()

    async def status() -> str:
        told: dict[str, str] = await client.info("persistence")
        return told["rdb_last_bgsave_status"]

    await until(status, lambda seen: seen == "err")
    yield
    await client.config_set("save", "")


@contextlib.asynccontextmanager
async def busy(client: Redis, folder: Path) -> AsyncIterator[None]:  # noqa: ARG001
    await client.config_set("busy-reply-threshold", 1)
    async with Redis(connection_pool=client.connection_pool, protocol=3) as other:
        running = asyncio.create_task(resolved(other.eval("while true do end", 0)))
        await until(lambda: _answers(client), lambda is_answered: not is_answered)
        try:
            yield
        finally:
            await client.script_kill()
            with pytest.raises(ResponseError):
                await running


async def _answers(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except ResponseError:
        return False


Refusing = Callable[[Redis, Path], contextlib.AbstractAsyncContextManager[None]]

REFUSALS: Final[dict[str, Refusing]] = {
    "READONLY": read_only,
    "NOREPLICAS": without_replicas,
    "MISCONF": with_a_disk_that_fails,
    "BUSY": busy,
}
"""The first word of a refusal -> what has the server say it."""


@pytest.mark.parametrize("word", REFUSALS)
async def test_calls_wait_until_the_server_accepts_again(
    server: EmbeddedServer, client: Redis, name: str, caplog: pytest.LogCaptureFixture, word: str
) -> None:
    async with Session.open(server.url) as session:
        queue = Queue(session, name, int)
        await queue.put(1)
        async with Lock(session, name):
            pass  # the server knows all the scripts
        async with REFUSALS[word](client, server.log.parent):
            putting, taking = asyncio.create_task(queue.put(2)), asyncio.create_task(take(queue, 2))
            acquiring = asyncio.create_task(Lock(session, name).acquire())
            await refused(caplog, word, ASKED)
            assert not any(task.done() for task in (putting, taking, acquiring))
        async with asyncio.timeout(40):
            assert await taking == [1, 2]
            await putting
            await (await acquiring).release()


async def refused(caplog: pytest.LogCaptureFixture, word: str, scripts: tuple[str, ...]) -> None:
    """Wait until the log says of each of these scripts that the server refuses it with this word."""

    async def named() -> set[Any]:
        told: list[Any] = [record.msg for record in caplog.records]
        return {
            line.fields["script"]
            for line in told
            if getattr(line, "text", None) == "the server refuses for now" and word in line.fields["problem"]
        }

    await until(named, lambda seen: seen >= set(scripts))


@pytest.mark.slow  # a node that has its slots waits two seconds before it accepts anything
async def test_a_cluster_that_is_not_ready_is_waited_for(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    binary = tmp_path / "node"
    binary.write_text(f'#!/bin/sh\nexec {server_binary()} "$@" --cluster-enabled yes\n')
    binary.chmod(0o755)
    with EmbeddedServer(tmp_path / "server", binary=binary) as server:
        async with Redis.from_url(server.url) as client, Session.open(server.url) as session:
            putting = asyncio.create_task(Queue(session, name, int).put(1))
            await refused(caplog, "CLUSTERDOWN", ("register",))
            assert not putting.done()
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            async with asyncio.timeout(40):
                await putting


@pytest.mark.parametrize("word", ["CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "UNBLOCKED"])
def test_what_a_server_alone_does_not_say_means_later_too(word: str) -> None:
    assert isinstance(translate(ResponseError(f"{word} in its own words"), load("put")), Postponed)


@pytest.mark.parametrize(
    "text",
    [
        "NOPERM ACL failure in script: User weak has no permissions to run the 'type' command script: 0, on @user_script:38.",
        "The user executing the script can't run this command or subcommand script: 0, on @user_script:38.",
    ],
    ids=["now", "Redis 7.0"],
)
def test_what_the_acl_forbids_a_script_is_refused(text: str) -> None:
    """In the words of each server that the tests run on; each in its own run has the whole way, too."""
    assert isinstance(translate(ResponseError(text), load("put")), ServerRefused)


@pytest.mark.parametrize("text", ["ERR no such thing", "WRONGTYPE of key"])
def test_what_a_server_says_for_good_does_not(text: str) -> None:
    assert not isinstance(translate(ResponseError(text), load("put")), Postponed)
