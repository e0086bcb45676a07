"""The referee: what was handled, in SQLite files outside of the server under test. It knows nothing of the product.

Each process writes a file of its own, so nobody waits for one that is stopped. An insert is in the kernel's hands when
it returns: kill -9 loses none. SQLite keeps 64 KiB of it in memory: its usual 2 MiB would pass for a leak of whom it
stands beside.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.campaigns.checkers.order import Note

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -64;
CREATE TABLE handled (part INTEGER, number INTEGER, attempt INTEGER, began INTEGER, at INTEGER);
CREATE TABLE notes (at INTEGER, what TEXT, key TEXT, number INTEGER);
"""


@dataclass(frozen=True, slots=True)
class Handling:
    """One run of a handler that came to its end; nanoseconds."""

    part: int
    number: int
    attempt: int
    began: int
    at: int
    pid: int


class Referee:
    """One process's file."""

    def __init__(self, folder: Path) -> None:
        """Begin a new file."""
        path = folder / f"handled-{os.getpid()}-{time.monotonic_ns()}.sqlite"
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.executescript(_SCHEMA)

    def record(self, part: int, number: int, attempt: int, began: int) -> None:
        """Record that a message was handled to its end, and since when."""
        row = part, number, attempt, began, time.monotonic_ns()
        self._file.execute("INSERT INTO handled VALUES (?, ?, ?, ?, ?)", row)

    def note(self, what: Literal["began", "did", "failed"], key: str, number: int) -> None:
        """Record that somebody begins with a message of a key, or has come to an end of it."""
        self._file.execute("INSERT INTO notes VALUES (?, ?, ?, ?)", (time.monotonic_ns(), what, key, number))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def read(folder: Path) -> Iterator[Handling]:
    """All that was recorded, process by process."""
    for pid, row in _rows(folder, "SELECT part, number, attempt, began, at FROM handled"):
        part, number, attempt, began, at = row
        yield Handling(part, number, attempt, began, at, pid)


def read_notes(folder: Path) -> Iterator[Note]:
    """What was noted of messages with a key, likewise."""
    for pid, (at, what, key, number) in _rows(folder, "SELECT at, what, key, number FROM notes"):
        yield Note(at, what, key, number, str(pid))


def _rows(folder: Path, query: str) -> Iterator[tuple[int, Any]]:
    """The rows of all files, with the process that wrote each."""
    for path in sorted(folder.glob("handled-*.sqlite")):
        pid, file = int(path.name.split("-")[1]), sqlite3.connect(path)
        try:
            yield from ((pid, row) for row in file.execute(query))
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):  # killed before it had one
                raise
        finally:
            file.close()
