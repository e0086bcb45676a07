"""What goes wrong behind the calls is in the log, with its name; and nothing that nobody waits for is left unheard."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from shared.concurrency import Lock, Queue, Session
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.queues.membership.keys import queue_keys
from shared.concurrency.session.log import LogLine
from shared.concurrency.session.names import StoredName
from shared.local.embedded import EmbeddedServer
from tests.instruments.inside import member_of
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until


def lines(caplog: pytest.LogCaptureFixture, text: str) -> list[LogLine]:
    messages = [record.msg for record in caplog.records if record.levelno == logging.WARNING]
    return [each for each in messages if isinstance(each, LogLine) and each.text == text]


def is_about(name: str, line: LogLine) -> bool:
    return line.fields["name"] == name


async def said(caplog: pytest.LogCaptureFixture, text: str, match: Callable[[LogLine], bool]) -> LogLine:
    async def look() -> list[LogLine]:
        return [line for line in lines(caplog, text) if match(line)]

    return (await until(look, bool))[0]


async def test_a_renewal_that_fails_names_the_queue_and_the_lease(
    url: str, name: str, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async with Session.open(url, ttl=1.0) as session, asyncio.timeout(15):
        queue = Queue(session, name, int, group="group")
        await queue.qsize()
        lease = await Lock(session, f"{name}: the lock").acquire()
        record = lease_keys(StoredName.of(f"{name}: the lock"))["record"]
        spoilt = queue_keys(f"group/{name}")["sessions"], record
        for key in spoilt:
            await client.set(key, "somebody else's")
        for about in (f"group/{name}", f"{name}: the lock"):
            line = await said(caplog, "a session or a lease could not be renewed", partial(is_about, about))
            assert "WRONGTYPE" in str(line.fields["problem"])
        await client.delete(*spoilt)
        with contextlib.suppress(Exception):
            await lease.release()


@pytest.fixture
def at_a_port(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server behind TCP: a write to a closed unix socket fails before the last reply is read."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with EmbeddedServer(tmp_path / "server", port=port) as server:
        yield server


async def test_a_heartbeat_that_the_server_has_no_connection_for_says_so(
    at_a_port: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server = at_a_port
    async with Redis.from_url(server.url) as client, Session.open(server.url, ttl=3.0) as session:
        await client.config_set("maxclients", 2)
        async with asyncio.timeout(15):
            await Queue(session, "jobs", int).qsize()
            await said(
                caplog,
                "renewing fails: what is held runs out",
                lambda line: "max number of clients" in str(line.fields["problem"]),
            )
            await client.config_set("maxclients", 100)
            await said(caplog, "renewing works again", lambda _: True)


async def test_a_registration_that_fails_when_its_caller_has_gone_is_heard(
    proxy: Proxy, name: str, client: Redis
) -> None:
    await client.set(queue_keys(name)["settings"], "somebody else's")
    async with Session.open(proxy.url) as session, asyncio.timeout(15):
        Queue(session, name, int, maxsize=3)
        async with proxy.holding("register") as hold:
            ready = asyncio.create_task(member_of(session, name).registration.ready())
            await hold.arrived.wait()
            ready.cancel()
            await asyncio.wait({ready})
            (registering,) = (task for task in asyncio.all_tasks() if task.get_name() == "weir-register")
        await asyncio.wait({registering})
        assert registering.done()
        del registering
        await client.delete(queue_keys(name)["settings"])
        await member_of(session, name).registration.ready()
        gc.collect()  # a task tells when it is thrown away; the fixture of all tests listens
