"""Programs of tests that run in processes of their own: those that handle messages with a limit."""

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Final

from shared.concurrency import LeaseLost, Queue, Session
from tests.instruments.processes import report

_HANDLING: Final = 0.02


def referee(directory: Path) -> sqlite3.Connection:
    """What is in hands, outside of the server: one row for each handling, with when it began and ended."""
    book = sqlite3.connect(directory / "hands.sqlite", timeout=60.0, isolation_level=None)
    book.execute("PRAGMA journal_mode=WAL")
    book.execute(
        "CREATE TABLE IF NOT EXISTS hands (id INTEGER PRIMARY KEY, pid INTEGER, item INTEGER, began REAL, ended REAL)"
    )
    return book


async def handle(url: str, name: str, ttl: float, directory: str, pid: int) -> None:
    """Handle messages until the queue is shut down and empty; says `ready`, then `done`. Each is in the book."""
    book = referee(Path(directory))
    async with Session.open(url, ttl=ttl) as session:
        queue = Queue(session, name, int)
        await queue.qsize()
        report("ready")

        async def work() -> None:
            async for delivery in queue:
                with contextlib.suppress(LeaseLost):
                    async with delivery as item:
                        row = book.execute(
                            "INSERT INTO hands (pid, item, began) VALUES (?, ?, ?)", (pid, item, time.time())
                        ).lastrowid
                        await asyncio.sleep(_HANDLING)
                        # Before the answer is sent: the place is not free yet.
                        book.execute("UPDATE hands SET ended = ? WHERE id = ?", (time.time(), row))

        await asyncio.gather(*(work() for _ in range(8)))
    report("done")


async def hold(url: str, name: str, ttl: float, count: int) -> None:
    """Take so many messages, and hold them; says `holds` with what is in them."""
    async with Session.open(url, ttl=ttl) as session:
        queue = Queue(session, name, int)
        held = [await queue.get() for _ in range(count)]
        report("holds", [delivery.item for delivery in held])
        await asyncio.Event().wait()
