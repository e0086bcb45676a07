"""The faults of anchors F1 to F4, F6, F11 and F15: of processes, of the server, of the network."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.concurrency.session.tasks import outlast
from tests.campaigns.faults.scene import Damage, Scene
from tests.campaigns.fleet import TTL

Fault = Callable[[Scene], Coroutine[Any, Any, None]]

_NOTICED: Final = 10 * TTL
"""Seconds: who has not noticed a dead connection by then has no excuse."""


async def kills(scene: Scene) -> None:
    """F1: a process is killed with -9, and started again."""
    while True:
        await asyncio.sleep(scene.pause())
        table, number = scene.chance.choice(scene.fleet.everybody())
        with scene.strike("kills", table[number].pid):
            await to_its_end(scene.fleet.replace(table, number))


async def to_its_end(strike: Coroutine[Any, Any, None]) -> None:
    """Strike whole, however it is cancelled: half a strike would leave something dead for good."""
    striking = asyncio.create_task(strike, name="strike")
    cancelled = await outlast(striking)
    striking.result()
    if cancelled is not None:
        raise cancelled


async def stops(scene: Scene) -> None:
    """F2: a process stands still for 1.5 to 5 times the time to live, then goes on."""
    while True:
        await asyncio.sleep(scene.pause())
        table, number = scene.chance.choice(scene.fleet.everybody())
        process = table[number]
        with scene.strike("stops", process.pid):
            process.stop()
            try:
                await asyncio.sleep(TTL * scene.chance.uniform(1.5, 5.0))
            finally:
                process.cont()


async def restarts(scene: Scene) -> None:
    """F3: the server is asked to end, and started again with its data."""
    await with_server(scene, "restarts", lambda _: scene.server.restart())


async def crashes(scene: Scene) -> None:
    """F4: the server is killed with -9, and started again with its data."""

    def crash(_: Damage) -> None:
        scene.server.kill()
        scene.server.start()

    await with_server(scene, "crashes", crash)


async def oblivion(scene: Scene) -> None:
    """F4 without persistence: the server is killed, and comes back empty."""

    def crash(damage: Damage) -> None:
        damage.kept = 0
        scene.server.kill()
        scene.server.start()

    await with_server(scene, "crashes", crash)


async def with_server(scene: Scene, word: str, strike: Callable[[Damage], None]) -> None:
    """Strike the server again and again, each time to the end."""
    while True:
        await asyncio.sleep(scene.pause())
        with scene.strike(word) as damage:
            await to_its_end(asyncio.to_thread(strike, damage))


async def cuts(scene: Scene) -> None:
    """F6: connections are reset, refused, frozen, or swallow what is sent."""
    while True:
        await asyncio.sleep(scene.pause())
        seconds = scene.chance.uniform(0.05, 2 * TTL)
        which = scene.chance.randrange(4)
        with scene.strike("cuts"):
            match which:
                case 0:
                    scene.proxy.cut()
                case 1:
                    scene.proxy.swallow()
                case 2:
                    with scene.proxy.refusing():
                        await asyncio.sleep(seconds)
                case _:
                    with scene.proxy.frozen():
                        await asyncio.sleep(seconds)
        if which == 1:
            await _until_noticed(scene)


async def _until_noticed(scene: Scene) -> None:
    """Strike on, as long as somebody has a connection that swallows everything: new ones work, so all is healed."""
    with scene.lasting("swallowing"):
        deadline = time.monotonic() + _NOTICED
        while scene.proxy.swallows and time.monotonic() < deadline:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.02)


async def memory(scene: Scene) -> None:
    """F11: the server's memory is full for a while."""
    async with direct(scene) as client:
        while True:
            await asyncio.sleep(scene.pause())
            with contextlib.suppress(RedisError, OSError), scene.strike("full memories"):
                try:
                    used: Any = await client.info("memory")
                    await client.config_set("maxmemory", max(1, int(used["used_memory"]) - 1))
                    await asyncio.sleep(scene.chance.uniform(0.1, 2 * TTL))
                finally:
                    await asyncio.shield(client.config_set("maxmemory", 0))


_BUSY: Final = (
    "local t = redis.call('TIME') repeat local n = redis.call('TIME') "
    "until (n[1] - t[1]) * 1000000 + n[2] - t[2] > 500000"
)
_PAUSED: Final = 800
"""Milliseconds."""
ADMIN: Final = (
    ("SCRIPT", "FLUSH"), ("FUNCTION", "FLUSH"), ("CLIENT", "KILL", "TYPE", "normal"), ("CLIENT", "KILL", "TYPE", "pubsub"),
    ("CLIENT", "PAUSE", f"{_PAUSED}", "ALL"), ("EVAL", _BUSY, "0"), ("CONFIG", "SET", "timeout", "1"), ("CONFIG", "SET", "timeout", "0"),
)  # fmt: skip


async def orders(scene: Scene) -> None:
    """F15: somebody flushes scripts, kills clients, keeps the server busy, or has it close what says nothing."""
    async with direct(scene) as client:
        while True:
            await asyncio.sleep(scene.pause())
            with scene.strike("orders"), contextlib.suppress(RedisError, OSError):
                order = scene.chance.choice(ADMIN)
                asked: Any = client.execute_command(*order)  # type: ignore[no-untyped-call]
                await asked
                if "PAUSE" in order:  # it answers at once, and stands from there on
                    await asyncio.sleep(_PAUSED / 1000)


def direct(scene: Scene) -> Redis:
    """A client past all that is struck."""
    client: Redis = Redis.from_url(scene.server.url)
    return client
