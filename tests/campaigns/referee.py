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

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -64;
CREATE TABLE handled (part INTEGER, number INTEGER, attempt INTEGER, began INTEGER, at INTEGER);
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

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def read(folder: Path) -> Iterator[Handling]:
    """All that was recorded, process by process."""
    for path in sorted(folder.glob("handled-*.sqlite")):
        file = sqlite3.connect(path)
        try:
            pid = int(path.name.split("-")[1])
            for part, number, attempt, began, at in file.execute("SELECT * FROM handled"):
                yield Handling(part, number, attempt, began, at, pid)
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):  # killed before it had one
                raise
        finally:
            file.close()
