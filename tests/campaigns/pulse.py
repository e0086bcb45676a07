"""Pulse: when the loop of a process had no turn, and what the process leaves open at its end.

Each process writes a file of its own, so that a checker can tell who was starved or stopped from a broken promise.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from tests.campaigns.checkers.gaps import Gap

_EVERY: Final = 0.02
SHORTEST: Final = 0.05
"""Seconds: a shorter gap is no gap, but a busy loop. Less than the margin by which a lease ends early."""


@contextlib.asynccontextmanager
async def pulse(folder: Path, process: str) -> AsyncIterator[None]:
    """Watch the loop while the block runs; the block opens all that it closes."""
    file = os.open(
        folder / f"pulse-{os.getpid()}-{time.monotonic_ns()}", os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
    )
    before = _open_now()
    beating = asyncio.create_task(_beat(file, process), name="pulse")
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait({beating})
    for what, count in _open_now().items():
        os.write(file, f"left {what} {before[what]} {count}\n".encode())
    os.close(file)


async def _beat(file: int, process: str) -> None:
    last = time.monotonic_ns()
    while True:
        await asyncio.sleep(_EVERY)
        now = time.monotonic_ns()
        if now - last > (_EVERY + SHORTEST) * 1e9:
            os.write(file, f"gap {process} {last} {now}\n".encode())
        last = now


def _open_now() -> dict[str, int]:
    return {"tasks": len(asyncio.all_tasks()), "descriptors": len(list(Path("/proc/self/fd").iterdir()))}


def read_gaps(folder: Path) -> list[Gap]:
    """The gaps of all processes."""
    return [Gap(words[1], int(words[2]), int(words[3])) for words in _lines(folder) if words[0] == "gap"]


def read_left(folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """What all processes that ended in order had open before and behind, added up."""
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    for words in _lines(folder):
        if words[0] == "left":
            what = f"{words[1]} of processes"
            before[what] = before.get(what, 0) + int(words[2])
            after[what] = after.get(what, 0) + int(words[3])
    return before, after


def _lines(folder: Path) -> Iterator[list[str]]:
    for path in sorted(folder.glob("pulse-*")):
        for line in path.read_text().split("\n")[:-1]:
            words = line.split()
            if len(words) == 4:
                yield words
