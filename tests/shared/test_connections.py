"""The connections of a service beside its session's: none waits for ever, none is one too many."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import TimeoutError as LateAnswer

from shared import connections
from shared.concurrency.session.address.address import read_address
from shared.pipeline import open_pipeline
from shared.pool import counted_pool
from shared.settings import Settings
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

SILENCE = 0.3


@contextlib.asynccontextmanager
async def client_of(url: str, most: int = 3, silence: float = SILENCE) -> AsyncIterator[Any]:
    """A client, untyped: redis-py's types know neither commands by name nor fractions of seconds."""
    pool = counted_pool(url, most, silence)
    try:
        yield Redis(connection_pool=pool)
    finally:
        await pool.disconnect()


async def test_a_reply_that_does_not_come_is_an_error_and_the_next_command_works(proxy: Proxy, name: str) -> None:
    async with client_of(proxy.url) as client:
        await client.set(name, "a")
        proxy.swallow()
        async with asyncio.timeout(40):
            with pytest.raises(LateAnswer, match=r"has not answered for 0\.3 s"):
                await client.get(name)
            assert await client.get(name) == b"a"


async def test_an_idle_connection_whose_bytes_are_swallowed_is_replaced_before_it_is_used(
    proxy: Proxy, name: str
) -> None:
    async with client_of(proxy.url, most=1) as client:
        await client.set(name, "a")
        proxy.swallow()
        await asyncio.sleep(SILENCE * 1.2)
        async with asyncio.timeout(40):
            assert await client.get(name) == b"a"


async def test_a_pipeline_whose_last_reply_does_not_come_keeps_no_connection(proxy: Proxy, name: str) -> None:
    async with client_of(proxy.url, most=1) as client:
        async with asyncio.timeout(40):
            async with client.pipeline() as pipe:
                await pipe.watch(name)
                proxy.swallow()  # leaving asks the server to watch no more
            assert await client.get(name) is None


async def test_a_large_command_that_is_not_taken_is_an_error(tmp_path: Path) -> None:
    given_up, ended = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (word := await reader.readline()) != b"SET\r\n":
            if word in (b"LIB-NAME\r\n", b"LIB-VER\r\n"):
                writer.write(b"+OK\r\n")
        await given_up.wait()
        writer.close()
        ended.set()

    server = await asyncio.start_unix_server(answer, tmp_path / "full")
    async with client_of(f"unix://{tmp_path / 'full'}?protocol=2") as client, asyncio.timeout(40):
        with pytest.raises(LateAnswer, match="has not answered"):
            await client.set("a", b"x" * 10_000_000)
    given_up.set()
    server.close()
    await ended.wait()


async def test_no_connection_is_made_for_ever(proxy: Proxy) -> None:
    with proxy.frozen():
        async with client_of(proxy.url) as client, asyncio.timeout(40):
            with pytest.raises((LateAnswer, LostConnection), match="has not answered"):
                await client.ping()


async def test_a_command_that_waits_on_the_server_may_do_so(url: str, name: str) -> None:
    async with client_of(url, silence=0.6) as client, asyncio.timeout(100):
        commands = client.execute_command
        assert await commands("BLPOP", name, 0.8) is None
        waiting = asyncio.create_task(commands(b"BLPOP", name, 0))
        await asyncio.sleep(0.8)
        await commands("RPUSH", name, "a")
        assert (await waiting)[1] == b"a"


@pytest.mark.parametrize(
    "command,seconds",
    [
        (("GET", "a"), 1.0), ((b"get", "a"), 1.0), (("BLPOP", "a", "b", 2), 3.0), (("bzpopmin", "a", "0.5"), 1.5),
        (("BLMPOP", 2.0, 1, "a", "LEFT"), 3.0), (("BRPOP", "a", b"0"), None), (("XREAD", "STREAMS", "a", "0"), 1.0),
        (("XREAD", "COUNT", 1, b"block", 500, "STREAMS", "a", "0"), 1.5), (("WAIT", 1, 2000), 3.0),
        (("BLPOP", "a", "nonsense"), 1.0), (("BLPOP",), 1.0),
    ],
)  # fmt: skip
def test_how_long_the_server_may_be_silent_is_read_from_the_command(
    command: tuple[object, ...], seconds: float | None
) -> None:
    assert connections._patience(command, 1.0) == seconds


async def test_a_reply_that_comes_slowly_is_waited_for(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while words := await reader.readuntil(b"\r\n"):
                if b"GET" in words:
                    for byte in b"$6\r\nslowly\r\n":
                        writer.write(bytes((byte,)))
                        await asyncio.sleep(0.05)
                elif words.upper() in (b"LIB-NAME\r\n", b"LIB-VER\r\n"):
                    writer.write(b"+OK\r\n")
        writer.close()
        ended.set()

    server = await asyncio.start_unix_server(answer, tmp_path / "slow")
    async with client_of(f"unix://{tmp_path / 'slow'}?protocol=2", silence=0.2) as client, asyncio.timeout(40):
        assert await client.get("a") == b"slowly"
    server.close()
    await ended.wait()


async def test_who_asks_for_one_more_connection_waits(url: str, name: str, client: Redis) -> None:
    async with client_of(url, most=3, silence=5) as counted, asyncio.timeout(100):
        pops = [asyncio.create_task(counted.execute_command("BLPOP", name, 0)) for _ in range(20)]

        async def blocked() -> int:
            return sum(each["cmd"] == "blpop" for each in await client.client_list())

        await until(blocked, lambda count: count == 3)
        for number in range(20):
            await client.rpush(name, number)  # type: ignore[misc]
        answers = await asyncio.gather(*pops)
        assert sorted(int(value) for _, value in answers) == list(range(20))


async def test_cancelled_callers_leave_every_connection_to_others(url: str) -> None:
    chance = random.Random(7)  # noqa: S311
    async with client_of(url, most=3, silence=5) as counted, asyncio.timeout(100):
        for _ in range(20):
            tasks = [asyncio.create_task(counted.execute_command("PING")) for _ in range(30)]
            for _ in range(chance.randrange(8)):
                await asyncio.sleep(0)
            for task in chance.sample(tasks, 20):
                task.cancel()
            await asyncio.wait(tasks)
            pops = [asyncio.create_task(counted.execute_command("BLPOP", "never", 0.01)) for _ in range(3)]
            async with asyncio.timeout(5):
                await asyncio.gather(*pops)


async def test_every_connection_of_a_pipeline_recovers_when_its_bytes_are_swallowed(proxy: Proxy, name: str) -> None:
    settings = Settings(redis_url=SecretStr(proxy.url), queue=name, session_ttl=1.0)
    async with open_pipeline(settings) as pipeline:
        await pipeline.redis.set(f"{name}:a", "a")
        proxy.swallow()
        async with asyncio.timeout(15):
            for _ in range(2):
                with contextlib.suppress(LateAnswer):
                    await pipeline.redis.get(f"{name}:a")
            assert await pipeline.redis.get(f"{name}:a") == b"a"
            assert await pipeline.queue.qsize() == 0


def test_connections_have_keepalive_and_a_bound_on_what_is_not_taken() -> None:
    options = read_address("redis://host/0").options
    assert options["socket_keepalive"]
    assert all(isinstance(number, int) for number in options["socket_keepalive_options"])
    assert "socket_keepalive" not in read_address("unix:///path").options
