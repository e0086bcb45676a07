"""Pulse: when the loop of a process had no turn and why, and what the process leaves open at its end.

Each process writes a file of its own, so that a checker can tell who was starved or stopped from a broken promise, and
both from a process that keeps its own loop from turning.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.campaigns.checkers.gaps import Gap, Pause, excused
from tests.campaigns.checkers.strikes import Strike

_EVERY: Final = 0.02
SHORTEST: Final = 0.05
"""Seconds: a shorter gap is no gap, but a busy loop. Less than the margin by which a lease ends early."""
NETWORK: Final = "network"
"""What a campaign calls itself where all connections go through its process: while it has no turn, nobody has one."""
_TASKS: Final = Path("/proc/self/task")
_UNKNOWN: Final = -1


@contextlib.asynccontextmanager
async def pulse(folder: Path, process: str) -> AsyncIterator[None]:
    """Watch the loop while the block runs, and count what is open before it and behind it."""
    with _file(folder, process) as file:
        before = _open_now()
        async with _beating(file, process):
            yield
        for what, count in _open_now().items():
            os.write(file, f"left {what} {before[what]} {count}\n".encode())


@contextlib.asynccontextmanager
async def beat(folder: Path, process: str) -> AsyncIterator[None]:
    """Watch the loop alone, while the block runs."""
    with _file(folder, process) as file:
        async with _beating(file, process):
            yield


@contextlib.contextmanager
def _file(folder: Path, process: str) -> Iterator[int]:
    path = folder / f"pulse-{os.getpid()}-{time.monotonic_ns()}"
    file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC)
    os.write(file, f"runs {process}\n".encode())
    try:
        yield file
    finally:
        os.close(file)


@contextlib.asynccontextmanager
async def _beating(file: int, process: str) -> AsyncIterator[None]:
    beating = asyncio.create_task(_beat(file, process), name="pulse")
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait({beating})


async def _beat(file: int, process: str) -> None:
    last, cpu, queued = time.monotonic_ns(), time.process_time_ns(), _queued()
    while True:
        await asyncio.sleep(_EVERY)
        now, ran, stood = time.monotonic_ns(), time.process_time_ns(), _queued()
        if now - last > (_EVERY + SHORTEST) * 1e9:
            waited = _UNKNOWN if _UNKNOWN in {stood, queued} else stood - queued
            os.write(file, f"gap {process} {last} {now} {ran - cpu} {waited}\n".encode())
        last, cpu, queued = now, ran, stood


def _queued() -> int:
    """For how many nanoseconds our threads have stood ready and got no processor so far, as Linux counts it."""
    try:
        return sum(int((task / "schedstat").read_text().split()[1]) for task in _TASKS.iterdir())
    except (OSError, IndexError):  # no Linux, a thread that has just ended, or a campaign has taken our descriptors
        return _UNKNOWN


def _open_now() -> dict[str, int]:
    return {"tasks": len(asyncio.all_tasks()), "descriptors": len(list(Path("/proc/self/fd").iterdir()))}


def read_gaps(folder: Path, strikes: Iterable[Strike]) -> list[Gap]:
    """When processes could not run. `strikes`: those of a process alone keep it from running."""
    stops: dict[int, list[tuple[int, int]]] = {}
    for strike in strikes:
        if strike.pid is not None:
            stops.setdefault(strike.pid, []).append((strike.began, strike.ended))
    found = (excused(pause, stops.get(pause.pid, ()), int(SHORTEST * 1e9)) for pause in _pauses(folder))
    return [gap for gap in found if gap is not None]


def read_hold_ups(folder: Path) -> list[Gap]:
    """When no connection went on, for the network had no turn, whatever the reason: a renewal may be late by so much.

    For standstills this is no excuse: the network carries what the product sends, and may be busy with that.
    """
    return [
        Gap(pause.process, pause.began, pause.ended, pause.pid) for pause in _pauses(folder) if pause.process == NETWORK
    ]


def _pauses(folder: Path) -> Iterator[Pause]:
    for pid, words in _lines(folder):
        if words[0] == "gap" and len(words) == 6:
            process, *figures = words[1:]
            began, ended, cpu, queued = map(int, figures)
            yield Pause(process, pid, began, ended, cpu, None if queued == _UNKNOWN else queued)


def read_groups(folder: Path) -> list[set[str]]:
    """The processes that ran, by what they do."""
    found: dict[str, set[str]] = {}
    for _, words in _lines(folder):
        if words[0] == "runs" and len(words) == 2:
            found.setdefault(words[1].partition("-")[0], set()).add(words[1])
    return list(found.values())


def read_left(folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """What all processes that ended in order had open before and behind, added up."""
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    for _, words in _lines(folder):
        if words[0] == "left" and len(words) == 4:
            what = f"{words[1]} of processes"
            before[what] = before.get(what, 0) + int(words[2])
            after[what] = after.get(what, 0) + int(words[3])
    return before, after


def _lines(folder: Path) -> Iterator[tuple[int, list[str]]]:
    """Each whole line, with the id of the process that wrote it."""
    for path in sorted(folder.glob("pulse-*")):
        pid = int(path.name.split("-")[1])
        for line in path.read_text().split("\n")[:-1]:
            if words := line.split():
                yield pid, words
