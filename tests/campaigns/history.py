"""History: what each producer of a campaign tried, and what came of it. It knows nothing of the product.

A line is in the kernel's hands before the process goes on, so kill -9 loses none; it may leave the last one cut short.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Phase = Literal["invoke", "ok", "fail", "info", "each"]
"""Jepsen's: it is asked for, it has happened, it has not and will not, or nobody knows whether it has.

`each`: when one of a slow range had.
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One line: a phase of putting the numbers first..last."""

    part: int
    """Which producer; its numbers are its own."""
    phase: Phase
    first: int
    last: int
    at: int
    """Nanoseconds of a clock that all processes of this machine share."""


class History:
    """One producer's file, for it to go on with after it was killed."""

    def __init__(self, folder: Path, part: int) -> None:
        """Open it; what is there stays."""
        self._part = part
        path = folder / f"producer-{part}"
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            os.write(self._file, b"\n")  # a line that was cut short

    def note(self, phase: Phase, first: int, last: int, at: int | None = None) -> None:
        """Add a line; `at`: when, if not now."""
        os.write(self._file, f"{phase} {first} {last} {at or time.monotonic_ns()}\n".encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read(folder: Path) -> Iterator[Event]:
    """All lines of all producers, each producer's in order."""
    for path in sorted(folder.glob("producer-*")):
        yield from read_part(folder, int(path.name.partition("-")[2]))


def read_part(folder: Path, part: int) -> Iterator[Event]:
    """The lines of one producer, in order."""
    path = folder / f"producer-{part}"
    for line in path.read_text().splitlines() if path.exists() else ():
        words = line.split()
        if len(words) == 4 and words[0] in get_args(Phase):
            phase, first, last, at = words
            yield Event(part, phase, int(first), int(last), int(at))  # type: ignore[arg-type]  # looked at above


def in_doubt(folder: Path, part: int) -> tuple[list[tuple[int, int]], int]:
    """The ranges of a producer that were asked for and may or may not be in, and the number to go on with."""
    open_ranges: dict[tuple[int, int], None] = {}
    following = 0
    for event in read_part(folder, part):
        if event.phase == "invoke":
            open_ranges[event.first, event.last] = None
        elif event.phase in ("ok", "fail"):
            open_ranges.pop((event.first, event.last), None)
        following = max(following, event.last + 1)
    return list(open_ranges), following
