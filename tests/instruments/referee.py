"""The referee of a lease campaign: an SQLite file that records who was inside when, with its token.

It also keeps the guarded store: one row that refuses a write with a smaller token than it has seen.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE visits (id INTEGER PRIMARY KEY, process INTEGER, mode TEXT, token INTEGER, entered INTEGER, left INTEGER);
CREATE TABLE store (token INTEGER, value TEXT);
INSERT INTO store VALUES (0, '');
CREATE TABLE gaps (process INTEGER, began INTEGER, ended INTEGER);
CREATE TABLE attempts (process INTEGER, token INTEGER, stale INTEGER, refused INTEGER);
"""


def now() -> int:
    """Nanoseconds of a clock that all processes of this machine share."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


@dataclass(frozen=True)
class Visit:
    """One stay inside."""

    process: int
    mode: str
    token: int
    entered: int
    left: int
    """Past all others for one that was still inside at the end."""


class Referee:
    """One process's view of the file."""

    def __init__(self, path: Path, process: int) -> None:
        """Open it; `process`: who writes."""
        self._process = process
        self._file = sqlite3.connect(path, timeout=30.0, isolation_level=None)
        self._file.execute("PRAGMA synchronous = OFF")

    @staticmethod
    def create(path: Path) -> None:
        """Make the file."""
        with sqlite3.connect(path) as file:
            file.executescript(_SCHEMA)
        file.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def enter(self, mode: str, token: int, at: int) -> int:
        """Record an entry; what it is called."""
        row = self._file.execute(
            "INSERT INTO visits (process, mode, token, entered) VALUES (?, ?, ?, ?)", (self._process, mode, token, at)
        )
        return int(row.lastrowid or 0)

    def leave(self, visit: int) -> None:
        """Record its end."""
        self._file.execute("UPDATE visits SET left = ? WHERE id = ?", (now(), visit))

    def write(self, token: int, is_over: Callable[[], bool]) -> bool:
        """Write to the guarded store; whether it took it. `is_over`: whether the writer knows that its lease is over.

        It is asked while the file is locked, so that the answer cannot grow old before the write.
        """
        self._file.execute("BEGIN IMMEDIATE")
        stale = is_over()
        found = self._file.execute("UPDATE store SET token = ?, value = ? WHERE token <= ?", (token, str(token), token))
        taken = found.rowcount == 1
        self._file.execute(
            "INSERT INTO attempts VALUES (?, ?, ?, ?)", (self._process, token, int(stale), int(not taken))
        )
        self._file.execute("COMMIT")
        return taken

    def can_be_written(self) -> bool:
        """Whether nobody keeps the file locked: a process that was stopped in the middle of a write does."""
        self._file.execute("PRAGMA busy_timeout = 200")
        try:
            self._file.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        self._file.execute("ROLLBACK")
        return True

    def last_token(self) -> int:
        """The largest token that has written."""
        return int(self._file.execute("SELECT token FROM store").fetchone()[0])

    def is_inside(self, token: int) -> bool:
        """Whether the writer with this token has not left yet."""
        row = self._file.execute(
            "SELECT COUNT(*) FROM visits WHERE mode = 'w' AND token = ? AND left IS NULL", (token,)
        )
        return bool(row.fetchone()[0])

    def refusals(self, token: int) -> int:
        """How many writes with this token were refused."""
        row = self._file.execute("SELECT TOTAL(refused) FROM attempts WHERE token = ?", (token,))
        return int(row.fetchone()[0])

    def refused(self, *, stale: bool) -> int:
        """How many writes were refused that came with a lease that was over, or with one that was not."""
        row = self._file.execute("SELECT TOTAL(refused) FROM attempts WHERE stale = ?", (int(stale),))
        return int(row.fetchone()[0])

    def accepted_out_of_order(self) -> int:
        """How many writes were accepted behind one with a larger token."""
        row = self._file.execute(
            "SELECT COUNT(*) FROM (SELECT token, MAX(token) OVER (ORDER BY rowid) AS largest FROM attempts WHERE refused = 0)"
            " WHERE token < largest"
        )
        return int(row.fetchone()[0])

    def gap(self, began: int, ended: int) -> None:
        """Record that this process's loop had no turn from then to then: it was busy, or the machine was."""
        self._file.execute("INSERT INTO gaps VALUES (?, ?, ?)", (self._process, began, ended))

    def gaps(self) -> dict[int, list[tuple[int, int]]]:
        """When the loops of which process had no turn."""
        found: dict[int, list[tuple[int, int]]] = {}
        for process, began, ended in self._file.execute("SELECT process, began, ended FROM gaps"):
            found.setdefault(process, []).append((began, ended))
        return found

    def visits(self) -> list[Visit]:
        """All stays, by time of entry."""
        rows = self._file.execute("SELECT process, mode, token, entered, left FROM visits ORDER BY entered")
        return [Visit(process, mode, token, entered, left or 2**63) for process, mode, token, entered, left in rows]


Gaps = Mapping[int, Sequence[tuple[int, int]]]


def overlaps(
    visits: Iterable[Visit], broken_off: dict[int, list[int]], gaps: Gaps | None = None, slack: int = 0
) -> list[tuple[Visit, Visit]]:
    """Pairs of stays at one time of which one is a writer's.

    `broken_off`: when each process was killed or stopped: from then on what it was inside for counts as ended, for the
    lease says when to stop, and the token stops those who cannot.

    `gaps`: when the loop of each process had no turn. Nobody who is starved can leave in time, so what overlaps inside
    a gap of one of the two, or `slack` nanoseconds behind it, says nothing about the lease.
    """
    gaps = gaps or {}
    inside: list[Visit] = []
    found: list[tuple[Visit, Visit]] = []
    for visit in visits:
        inside = [other for other in inside if _end(other, broken_off) > visit.entered]
        found += [
            (other, visit)
            for other in inside
            if "w" in (other.mode, visit.mode)
            and not any(_starved(process, visit.entered, gaps, slack) for process in (other.process, visit.process))
        ]
        inside.append(visit)
    return found


def _starved(process: int, at: int, gaps: Gaps, slack: int) -> bool:
    return any(began <= at <= ended + slack for began, ended in gaps.get(process, ()))


def _end(visit: Visit, broken_off: dict[int, list[int]]) -> int:
    breaks = [at for at in broken_off.get(visit.process, []) if at >= visit.entered]
    return min([visit.left, *breaks])
