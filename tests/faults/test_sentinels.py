"""Servers that sentinels watch: everything that connects asks them first, and only the primary is used."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from arq.connections import create_pool
from pydantic import SecretStr
from redis.exceptions import ConnectionError as LostConnection

from monitor.link import open_link
from shared.clock.arq_settings import redis_settings
from shared.concurrency import Lock, Queue, ServerRefused, ServerUnavailable, Session
from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.connections import client as connected
from shared.concurrency.session.log import LogLine
from shared.local.embedded import EmbeddedServer
from shared.pipeline import open_pipeline
from shared.settings import Settings
from tests.cli.test_dead_command import pipeline as command
from tests.instruments.messages import Errand
from tests.instruments.waiting import renewed, resolved, until
from tests.instruments.watched import SERVICE, WatchedServers

PATIENT = 60_000
"""Milliseconds: a busy machine is no failover."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServers]:
    """Servers that no test of this module ends."""
    with WatchedServers(tmp_path_factory.mktemp("watched"), down_after=PATIENT) as watched:
        yield watched


async def put_and_take(url: str, name: str) -> None:
    async with Session.open(url, ttl=1.0) as session:
        queue = Queue(session, name, int)
        await queue.put(7)
        async with Lock(session, name) as lease, await queue.get() as item:
            await renewed(lease)  # by the heartbeat
            assert item == 7


async def test_a_session_its_heartbeat_the_pool_and_deferred_messages_find_the_primary(
    watched: WatchedServers, name: str
) -> None:
    await put_and_take(watched.url, name)
    settings = Settings(redis_url=SecretStr(watched.url), queue=name)
    async with open_pipeline(settings) as pipeline:
        await pipeline.redis.set(name, "x")
        await pipeline.schedule(Errand(file="f", part=1, text="t"), after=60, id="one")
        assert await pipeline.unschedule("one")
        with watched.primary().client() as primary:
            assert primary.get(name) == b"x"
    pool = await create_pool(redis_settings(watched.url))
    try:
        assert await resolved(pool.get(name)) == b"x"
    finally:
        await pool.aclose()
        for sentinel in pool.connection_pool.sentinel_manager.sentinels:  # type: ignore[attr-defined]
            await sentinel.aclose()  # arq leaves them open


@pytest.mark.usefixtures("command_line")
async def test_the_command_line_and_the_monitor_find_the_primary(watched: WatchedServers, name: str) -> None:
    await put_and_take(watched.url, name)
    done = await asyncio.to_thread(command, "queue", "list", REDIS_URL=watched.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert name in done.stdout
    async with open_link(watched.url) as link:
        (answer,) = await link.commands([("EXISTS", f"{{{name}}}:settings")])
        assert answer == 1


async def test_servers_and_sentinels_may_have_passwords_of_their_own(tmp_path: Path, name: str) -> None:
    with WatchedServers(tmp_path, down_after=PATIENT, password="p-4", sentinel_password="s-5") as watched:
        await put_and_take(watched.url, name)
        wrong = watched.url.replace("s-5", "s-6")
        with pytest.raises(ServerRefused, match=r"WRONGPASS|NOAUTH|invalid") as raised:
            async with Session.open(wrong, connect_timeout=5):
                pass
        assert "s-6" not in str(raised.value)


async def test_a_sentinel_that_is_gone_or_silent_costs_a_moment(watched: WatchedServers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as closed:
        gone = closed.getsockname()[1]
        closed.close()
        url = f"redis+sentinel://127.0.0.1:{gone},127.0.0.1:{silent.getsockname()[1]},{_hosts(watched)}/{SERVICE}"
        address = read_address(url)
        async with asyncio.timeout(10):
            found = await address.locate()
        assert found is not None
        assert found.port == watched.primary().port
        async with Session.open(url):
            pass
        # The one that answered is asked first from now on, in a thread too.
        assert address.locate_blocking() == found


async def test_a_service_that_no_sentinel_knows_is_named(watched: WatchedServers) -> None:
    url = watched.url.replace(f"/{SERVICE}", "/another")
    with pytest.raises(ServerUnavailable, match=r"no sentinel knows .*'another'.*No such master"):
        async with Session.open(url, connect_timeout=0.5):
            pass
    with pytest.raises(LostConnection, match="'another'"):
        async with connected(read_address(url)) as client:
            await client.get("x")


async def test_a_replica_that_sentinels_name_is_left_and_they_are_asked_again(
    watched: WatchedServers,
) -> None:
    replica = next(each for each in watched.servers if each is not watched.primary())
    with contextlib.ExitStack() as stack:
        for sentinel in watched.sentinels:
            plain = stack.enter_context(sentinel.client())
            plain.execute_command("SENTINEL", "MONITOR", "stray", "127.0.0.1", replica.port, 2)
            stack.callback(plain.execute_command, "SENTINEL", "REMOVE", "stray")
        with pytest.raises(ServerUnavailable, match=f"127.0.0.1:{replica.port} is a replica"):
            async with Session.open(watched.url.replace(f"/{SERVICE}", "/stray"), connect_timeout=0.8):
                pass


async def test_a_fixed_address_of_a_replica_is_refused_at_once(watched: WatchedServers) -> None:
    replica = next(each for each in watched.servers if each is not watched.primary())
    with pytest.raises(ServerRefused, match=r"is a replica, which takes no writes.*redis\+sentinel://"):
        async with asyncio.timeout(5), Session.open(f"redis://127.0.0.1:{replica.port}"):
            pass


async def test_a_fixed_primary_that_becomes_a_replica_is_waited_for(
    server: EmbeddedServer, watched: WatchedServers, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with Session.open(server.url) as session, connected(read_address(server.url)) as client:
        queue = Queue(session, name, int)
        await queue.put(1)
        await client.config_set("replica-serve-stale-data", "yes")
        await client.replicaof("127.0.0.1", str(watched.primary().port))
        await client.client_kill_filter(_type="pubsub")
        put = asyncio.create_task(queue.put(2))

        async def problems() -> str:
            return " ".join(str(line.fields.get("problem")) for line in _lines(caplog))

        await until(problems, lambda text: "is a replica" in text)
        assert not put.done()
        await client.replicaof("NO", "ONE")
        async with asyncio.timeout(30):
            await put


def _hosts(watched: WatchedServers) -> str:
    return ",".join(f"127.0.0.1:{each.port}" for each in watched.sentinels)


def _lines(caplog: pytest.LogCaptureFixture) -> list[LogLine]:
    return [record.msg for record in caplog.records if isinstance(record.msg, LogLine)]
