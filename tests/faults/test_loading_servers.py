"""A server that loads what it keeps answers LOADING until it has: it is waited for, and serves what it kept."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.emptying import take
from tests.instruments.waiting import until

_SLOWLY: Final = ("--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024")
"""Two milliseconds for each key, and connections are served every few keys: both are meant for tests."""
_KEYS: Final = 30_000


@contextlib.asynccontextmanager
async def loading(server: EmbeddedServer) -> AsyncIterator[None]:
    """Inside the block the server, started anew, answers LOADING and nothing else; behind it, it serves."""
    async with Redis.from_url(server.url) as client:
        await client.mset({f"of-others:{number}": "x" * 200 for number in range(_KEYS)})
        await client.save()
    server.kill()
    starting = asyncio.create_task(asyncio.to_thread(server.start))
    async with Redis.from_url(server.url) as client:
        await until(lambda: _is_loading(client), bool)
        try:
            yield
            assert await _is_loading(client)
        finally:
            await client.config_set("key-load-delay", 0)
            await starting


async def _is_loading(client: Redis) -> bool:
    try:
        await client.ping()
    except BusyLoadingError:
        return True
    except RedisConnectionError:  # it does not listen yet
        return False
    return False


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "server", options=_SLOWLY, patience=120) as server:
        yield server


async def refused(server: EmbeddedServer) -> None:
    """Wait until the server has told somebody once more that it is loading."""
    async with Redis.from_url(server.url) as client:

        async def times() -> int:
            return int((await client.info("errorstats")).get("errorstat_LOADING", {"count": 0})["count"])

        before = await times()
        await until(times, lambda seen: seen > before)


async def test_calls_of_an_open_session_wait_until_it_has_loaded(slow: EmbeddedServer, name: str) -> None:
    async with Session.open(slow.url, ttl=60.0) as session:
        queue = Queue(session, name, int)
        await queue.put_many([1, 2])
        async with loading(slow):
            putting, taking = asyncio.create_task(queue.put(3)), asyncio.create_task(take(queue, 3))
            await refused(slow)
            assert not putting.done()
            assert not taking.done()
        async with asyncio.timeout(40):
            await putting
            assert await taking == [1, 2, 3]


async def test_a_session_that_opens_meanwhile_opens_and_its_calls_wait(slow: EmbeddedServer, name: str) -> None:
    async with Session.open(slow.url) as session:
        await Queue(session, name, int).put(1)
    async with contextlib.AsyncExitStack() as stack:
        async with loading(slow):
            session = await stack.enter_async_context(Session.open(slow.url))
            queue = Queue(session, name, int)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):  # the caller's own bound
                    await queue.qsize()
            taking = asyncio.create_task(take(queue, 1))
            await refused(slow)
            assert not taking.done()
        async with asyncio.timeout(40):
            assert await taking == [1]
