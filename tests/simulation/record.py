"""The record: what ran on which commit, as a table under version control."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.simulation.tally import Tally

_COLUMNS: Final = ("commit", "workloads", "first seed", "of each", "seeds", "steps", "virtual hours", "failed")


@dataclass
class Row:
    """One set of workloads on one commit."""

    commit: str
    workloads: str
    first: int
    """The first seed: each commit has others."""
    each: int = 0
    """How many seeds each workload ran."""
    tally: Tally = field(default_factory=Tally)

    def __str__(self) -> str:
        """As a row of the table."""
        tally = self.tally
        failed = ", ".join(tally.failed) or "none"
        cells = (self.commit, self.workloads, str(self.first), str(self.each), str(tally.seeds), str(tally.steps))
        return f"| {' | '.join((*cells, f'{tally.seconds / 3600:.2f}', failed))} |"


class Record:
    """The table in a file. A commit and its set of workloads have one row, which is written anew as it goes on."""

    def __init__(self, path: Path) -> None:
        """Read it; what stands before the table stays as it is."""
        self._path = path
        head, rule, table = path.read_text(encoding="utf-8").partition(_rule())
        if not rule:
            raise ValueError(f"{path.name} has no table with the columns {', '.join(_COLUMNS)}")
        self._head = head
        self._rows = [_row(line) for line in table.splitlines() if line]

    def row(self, commit: str, workloads: str) -> Row:
        """What is known of this set on this commit; a new row where nothing is."""
        for row in self._rows:
            if (row.commit, row.workloads) == (commit, workloads):
                return row
        self._rows.append(Row(commit, workloads, first=int(commit[:7], 16) % 1_000_000 * 1000))
        return self._rows[-1]

    def write(self) -> None:
        """Write it; all or nothing."""
        text = self._head + _rule() + "".join(f"{row}\n" for row in self._rows if row.each)
        new = self._path.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(self._path)


def _rule() -> str:
    return f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}\n"


def _row(line: str) -> Row:
    commit, workloads, first, each, seeds, steps, hours, failed = (cell.strip() for cell in line.strip("|").split("|"))
    fails = [] if failed == "none" else failed.split(", ")
    return Row(commit, workloads, int(first), int(each), Tally(int(seeds), int(steps), float(hours) * 3600, fails))


def commit_of(root: Path, record: Path) -> str:
    """The commit that is checked out.

    :raises ValueError: where there is none, or something beside the record differs from it.
    """
    asked = ["git", "-C", str(root)]
    at = subprocess.run([*asked, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if at.returncode:
        raise ValueError("a record names a commit, and this is no git checkout")
    changed = subprocess.run(
        [*asked, "status", "--porcelain", "--", ".", f":!{record.relative_to(root)}"],
        capture_output=True,
        text=True,
        check=True,
    )
    if changed.stdout:
        raise ValueError("a record names a commit: commit what you changed first")
    return re.sub(r"(?<=^.{12}).*", "", at.stdout.strip())
