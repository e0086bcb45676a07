"""`Session.open(replicas=)`: what is put and settled is answered for once so many replicas have it."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.concurrency import Queue, ServerRefused, Session
from shared.concurrency.session.log import LogLine
from tests.instruments.proxy import Proxy
from tests.instruments.server_process import Node
from tests.instruments.traffic import Command, Fate
from tests.instruments.waiting import until
from tests.instruments.watched import WatchedServers

WAITS = 0.3
"""Seconds for which a call is seen to wait: several WAITs."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServers]:
    """Servers that no test of this module ends; no sentinel takes a stopped one for down."""
    with WatchedServers(tmp_path_factory.mktemp("watched"), down_after=600_000) as watched:
        yield watched


@pytest.fixture
def primary(watched: WatchedServers) -> Node:
    """The server that leads."""
    return watched.primary()


@pytest.fixture
def replicas(watched: WatchedServers) -> list[Node]:
    """The two that follow it."""
    return [server for server in watched.servers if server is not watched.primary()]


@contextlib.contextmanager
def stopped(*nodes: Node) -> Iterator[None]:
    for node in nodes:
        node.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for node in nodes:
            node.signal(signal.SIGCONT)


async def waits(call: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A call that has not returned after some WAITs."""
    task = asyncio.create_task(call)
    done, _ = await asyncio.wait({task}, timeout=WAITS)
    assert not done
    return task


def address(node: Node) -> str:
    return f"redis://127.0.0.1:{node.port}/0"


@pytest.mark.parametrize("wanted,stops", [(1, 2), (2, 1)])
async def test_a_put_and_an_ack_return_once_so_many_replicas_have_them(
    primary: Node, replicas: list[Node], name: str, wanted: int, stops: int
) -> None:
    async with Session.open(address(primary), replicas=wanted) as session, Session.open(address(primary)) as plain:
        queue = Queue(session, name, int)
        await queue.put(0)
        delivery = await queue.get()
        with stopped(*replicas[:stops]):
            put = await waits(queue.put(1))
            ack = await waits(delivery.ack())
            # A session that did not ask for it pays nothing.
            async with asyncio.timeout(5):
                await Queue(plain, f"{name}-plain", int).put(1)
        async with asyncio.timeout(20):
            await asyncio.gather(put, ack)
        for replica in replicas[: wanted if stops == 2 else 2]:
            await until(lambda replica=replica: _pending(replica, name), lambda count: count == 1)  # type: ignore[misc]


async def test_an_ack_with_effects_waits_too(primary: Node, replicas: list[Node], name: str) -> None:
    async with Session.open(address(primary), replicas=1) as session:
        queue = Queue(session, name, int)
        await queue.put(0)
        delivery = await queue.get()
        delivery.effects.incrby(f"{{{name}}}-done", 1)
        with stopped(*replicas):
            ack = await waits(delivery.ack())
        async with asyncio.timeout(20):
            await ack


async def test_a_put_that_waited_for_room_is_answered_for_as_any_other(
    primary: Node, replicas: list[Node], name: str
) -> None:
    async with Session.open(address(primary), replicas=1) as session, Session.open(address(primary)) as other:
        queue = Queue(session, name, int, maxsize=1)
        await queue.put(0)
        put = asyncio.create_task(queue.put(1))
        await until(Queue(other, name, int).statistics, lambda statistics: statistics.puts_waiting == 1)
        with stopped(*replicas):
            # Another process admits it, and promises nothing.
            await (await Queue(other, name, int).get()).ack()
            done, _ = await asyncio.wait({put}, timeout=WAITS)
            assert not done
        async with asyncio.timeout(20):
            await put


async def test_a_connection_that_breaks_before_the_count_does_not_promise_it(
    primary: Node, replicas: list[Node], name: str, tmp_path: Path
) -> None:
    async with Proxy(address(primary), tmp_path) as proxy, Session.open(proxy.url, replicas=1) as session:
        queue = Queue(session, name, int)
        await queue.put(0)
        with stopped(*replicas):
            met = proxy.drop_nth(1, Fate.DROP_AFTER, _is_count)
            put = await waits(queue.put(1))
            assert met.is_set()
        async with asyncio.timeout(20):
            await put
        assert await queue.qsize() == 2


async def test_while_replicas_are_missing_the_log_says_so_and_a_call_can_be_bounded(
    primary: Node, replicas: list[Node], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with Session.open(address(primary), replicas=1, ttl=1.0) as session:
        queue = Queue(session, name, int)
        await queue.put(0)
        with stopped(*replicas):
            put = asyncio.create_task(queue.put(1))
            (line,) = await until(lambda: _lines(caplog), bool)
            assert line.text == "too few replicas have what is put and settled: calls wait"
            assert line.fields | {"problem": "0 of 1", "wanted": 1} == line.fields
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await queue.get()
        async with asyncio.timeout(20):
            await put
        assert [line.text for line in await _lines(caplog)][1:] == ["enough replicas have it again"]


async def test_a_plain_session_never_counts(url: str, name: str, tmp_path: Path) -> None:
    async with Proxy(url, tmp_path) as proxy, Session.open(proxy.url) as session:
        queue = Queue(session, name, int)
        await queue.put(0)
        await (await queue.get()).ack()
        assert proxy.count("WAIT") == 0


async def test_only_puts_and_settles_count_each_once(primary: Node, name: str, tmp_path: Path) -> None:
    async with Proxy(address(primary), tmp_path) as proxy, Session.open(proxy.url, replicas=1) as session:
        queue = Queue(session, name, int)
        await queue.put_many(range(100))
        counted = proxy.count("WAIT")
        assert counted == proxy.count("put")
        await queue.qsize()
        delivery = await queue.get()
        assert proxy.count("WAIT") == counted
        await delivery.ack()
        assert proxy.count("WAIT") == counted + 1


async def test_a_server_that_forbids_the_count_is_refused(primary: Node, name: str) -> None:
    with primary.client() as client:
        client.execute_command("ACL", "SETUSER", "hasty", "on", ">p-7", "~*", "&*", "+@all", "-wait")
    async with Session.open(f"redis://hasty:p-7@127.0.0.1:{primary.port}", replicas=1) as session:
        with pytest.raises(ServerRefused, match=r"refuses WAIT.*\+wait"):
            await Queue(session, name, int).put(1)


@pytest.mark.parametrize("replicas", [-1, 101, True, 1.0, "1"])
async def test_what_is_no_number_of_replicas(url: str, replicas: Any) -> None:
    with pytest.raises(ValueError, match="replicas is a whole number from 0 to 100"):
        async with Session.open(url, replicas=replicas):
            pass


def _is_count(command: Command) -> bool:
    return command.name == "WAIT"


async def _pending(node: Node, name: str) -> int:
    with node.client() as client:
        count: int = client.llen(f"{{{name}}}:pending")
    return count


async def _lines(caplog: pytest.LogCaptureFixture) -> list[LogLine]:
    return [record.msg for record in caplog.records if isinstance(record.msg, LogLine)]
