"""Servers as services give them: they work without INFO, CLIENT and CONFIG, and what nothing works without is named."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from monitor.link import open_link
from monitor.watch import open_watch
from shared.concurrency import LeaseBusy, Lock, Queue, ServerRefused, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.limited import limited, without
from tests.instruments.services import running
from tests.instruments.waiting import until

UNTOLD = "the server does not tell everything: not all is checked"


def lines(caplog: pytest.LogCaptureFixture, text: str) -> list[Any]:
    """What was logged with this text."""
    return [record.msg for record in caplog.records if getattr(record.msg, "text", "") == text]


async def works(session: Session) -> None:
    """A message goes its way, and a lease is taken."""
    queue = Queue(session, "jobs", int, maxsize=1)
    await queue.put(1)
    async with await queue.get() as item:
        assert item == 1
    async with Lock(session, "lock"):
        pass


def unchecked(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was not checked, by the first words of each."""
    return [text.split(",")[0].split(":")[0] for line in lines(caplog, UNTOLD) for text in line.fields["not_checked"]]


async def test_a_server_without_info_client_and_config_works_and_says_what_is_not_checked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with without(tmp_path / "server", "INFO", "CLIENT", "CONFIG") as server:
        async with Session.open(server.url) as session:
            await works(session)
    assert unchecked(caplog) == ["maxmemory-policy", "the run_id"]
    assert len(lines(caplog, UNTOLD)) == 1


async def test_a_user_that_may_ask_nothing_works_too(server: EmbeddedServer, caplog: pytest.LogCaptureFixture) -> None:
    async with Redis.from_url(server.url) as admin:
        url = await limited(admin, server.url, "-info", "-client", "-config")
        async with Session.open(url, ttl=1.0) as session:
            await works(session)
            await admin.client_kill_filter(skipme=True)
            await works(session)  # on the next connection
    assert len(lines(caplog, UNTOLD)) == 1  # once, and not at each connection


async def test_the_policy_is_asked_of_config_where_info_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with without(tmp_path / "server", "INFO", options=("--maxmemory-policy", "allkeys-lru")) as server:
        with pytest.raises(ServerRefused, match=r"maxmemory-policy is allkeys-lru.*parameter group"):
            async with asyncio.timeout(5), Session.open(server.url):
                pass
        async with Redis.from_url(server.url) as client:
            await client.config_set("maxmemory-policy", "noeviction")
        async with Session.open(server.url):
            pass
    assert unchecked(caplog) == ["the run_id"]


@pytest.mark.parametrize("command", ["SUBSCRIBE", "HELLO"])
async def test_what_nothing_works_without_is_named_at_once(tmp_path: Path, command: str) -> None:
    with without(tmp_path / "server", command) as server, pytest.raises(ServerRefused, match=f"command {command}"):
        async with asyncio.timeout(5), Session.open(server.url):
            pass


@pytest.mark.parametrize("command", ["EVALSHA", "SCRIPT"])
async def test_without_scripts_the_first_call_fails_and_names_the_command(tmp_path: Path, command: str) -> None:
    with without(tmp_path / "server", command) as server:
        async with asyncio.timeout(8), Session.open(server.url) as session:
            with pytest.raises(ServerRefused, match=f"lacks the command {command}"):
                await Queue(session, "jobs", int).put(1)


async def test_a_command_that_a_script_lacks_is_said_with_the_script(tmp_path: Path) -> None:
    with without(tmp_path / "server", "ZADD") as server:
        async with asyncio.timeout(8), Session.open(server.url) as session:
            with pytest.raises(ServerRefused, match="lacks a command that the script register calls"):
                await Queue(session, "jobs", int).put(1)


async def test_without_a_run_id_a_lease_rests_once_for_each_connection(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url) as admin:
        url = await limited(admin, server.url, "-info")

        async def quiet_until() -> bytes | None:
            found: bytes | None = await admin.hget("{lock}:lease", "quiet_until")
            return found

        async with asyncio.timeout(20), Session.open(url, ttl=0.5) as session:
            for _ in range(2):
                async with Lock(session, "lock"):
                    pass
            assert await quiet_until() is None  # nobody was granted it before
            await admin.client_kill_filter(skipme=True)
            async with Lock(session, "lock"):
                pass
            rested = await quiet_until()
            assert rested is not None
            async with Lock(session, "lock"):  # it knows already
                pass
            assert await quiet_until() == rested
            assert inside.run_id_of(session).startswith("?")
            async with Session.open(url, ttl=0.5) as fresh, Lock(fresh, "lock"):  # it may have been away meanwhile
                pass
            assert int(await quiet_until() or 0) > int(rested)


async def test_many_that_come_while_a_lease_rests_do_not_make_it_rest_for_ever(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url) as admin:
        url = await limited(admin, server.url, "-info")
        async with Session.open(url) as first, Lock(first, "lock"):
            pass
        async with Session.open(url) as one, Session.open(url) as other:
            asking = asyncio.create_task(Lock(one, "lock").acquire())
            await until(lambda: admin.hget("{lock}:lease", "quiet_until"), bool)
            before = await admin.hget("{lock}:lease", "quiet_until")
            with pytest.raises(LeaseBusy):
                await Lock(other, "lock").acquire_nowait()
            assert await admin.hget("{lock}:lease", "quiet_until") == before
            asking.cancel()
            await asyncio.wait({asking})


async def test_a_queue_is_not_disturbed_by_who_does_not_know_the_run(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url) as admin:
        url = await limited(admin, server.url, "-info")
        async with Session.open(server.url) as knows, Session.open(url) as blind:
            for each in (knows, blind, knows, blind):
                queue = Queue(each, "jobs", int)
                await queue.put(1)
                async with await queue.get():
                    pass
            assert await admin.hget("{jobs}:settings", "run_id") == inside.run_id_of(knows).encode()


async def test_a_snapshot_without_info_shows_the_rest_and_names_what_is_missing(
    session: Session, name: str, url: str
) -> None:
    await Queue(session, name, int).put(1)
    async with (
        Redis.from_url(url) as admin,
        open_link(await limited(admin, url, "-info")) as link,
        open_watch(link) as watch,
    ):
        seen = await watch.snapshot()
        await admin.acl_deluser("limited")
    assert [problem.name for problem in seen.problems] == ["server"]
    found = seen.queue(name)
    assert found is not None
    assert found.counts.pending == 1


@pytest.mark.usefixtures("command_line")
@pytest.mark.slow
async def test_the_clock_runs_without_info_and_dbsize(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url) as admin:
        url = await limited(admin, server.url, "-info", "-dbsize")

        async def ticks() -> int:
            return int(await admin.get("{jobs}:ticks") or 0)

        with running("producer.clock", REDIS_URL=url, PIPELINE_QUEUE="jobs") as clock:
            await until(ticks, lambda count: count > 0)
            clock.terminate()
            _, said = clock.communicate(20)
    assert clock.returncode == 0
    assert said.count("the server does not tell everything") == 1


async def test_a_replica_that_takes_writes_is_refused(tmp_path: Path) -> None:
    options = ("--replicaof", "127.0.0.1 1", "--replica-read-only", "no")
    with (
        EmbeddedServer(tmp_path / "server", options=options) as server,
        pytest.raises(ServerRefused, match="a replica that takes writes"),
    ):
        async with asyncio.timeout(5), Session.open(server.url):
            pass
