"""World: what the fuzzer feeds, and what it sees go wrong: a server, sessions, and the defects that the engine logs."""

import asyncio
import gc
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from shared.concurrency.session.log import LogLine
from shared.local.embedded import EmbeddedServer


class Found(AssertionError):
    """The product broke a promise: what it was fed, and what happened."""


class Defects(logging.Handler):
    """Collects what the engine itself calls a defect, and what asyncio reports that nobody heard of."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()  # as any handler does: a text that cannot be shown is found
        is_ours = record.name.startswith("weir")
        text = record.msg.text if isinstance(record.msg, LogLine) else str(record.msg)
        if (record.levelno >= logging.ERROR and record.exc_info and record.exc_info[1]) or (
            not is_ours and record.levelno >= logging.ERROR
        ):
            error = record.exc_info[1] if record.exc_info else None
            self.seen.append(f"{text}: {error!r:.300}")


class World:
    """One server and a plain client."""

    def __init__(self, server: EmbeddedServer, client: Redis, defects: Defects, folder: Path) -> None:
        """Use `open_world`."""
        self.server: Final = server
        self.client: Any = client
        self.defects: Final = defects
        self.folder: Final = folder

    async def forget(self, name: str) -> None:
        """Delete all keys that have this in their names."""
        if keys := [key async for key in self.client.scan_iter(match=f"*{name}*", count=1000)]:
            await self.client.delete(*keys)

    def check(self, fed: str) -> None:
        """Raise Found where the engine logged a defect."""
        if self.defects.seen:
            found = list(self.defects.seen)
            self.defects.seen.clear()
            raise Found(f"{fed}: {found[:5]}")


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    """A world of the block's own; the log goes nowhere else meanwhile."""
    defects = Defects()
    loggers = [logging.getLogger(name) for name in ("weir", "asyncio")]
    before = [(logger, logger.propagate, logger.level) for logger in loggers]
    unheard = asyncio.get_running_loop()
    for logger in loggers:
        logger.addHandler(defects)
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
    previous = unheard.get_exception_handler()
    unheard.set_exception_handler(lambda _, context: defects.seen.append(f"unheard: {context!r:.500}"))
    try:
        with EmbeddedServer(folder / "server") as server:
            async with Redis.from_url(server.url, protocol=3) as client:
                yield World(server, client, defects, folder)
    finally:
        unheard.set_exception_handler(previous)
        for logger, propagate, level in before:
            logger.removeHandler(defects)
            logger.propagate = propagate
            logger.setLevel(level)


def resident_bytes() -> int:
    """Memory of this process that is resident."""
    gc.collect()
    with Path("/proc/self/statm").open() as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """How many file descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
