"""What commands write: listings, lines, times and problems; foreign text is made harmless."""

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from shared.escapes import escaped

_LONGEST = 200
"""Characters of a cell at most; `show` and --json print longer texts in full."""


def write_json(value: Mapping[str, Any]) -> None:
    """Write one object on one line, in ASCII."""
    sys.stdout.write(json.dumps(value) + "\n")


def write_line(line: str) -> None:
    """Write one line."""
    sys.stdout.write(escaped(line) + "\n")


def write_between(*, as_json: bool) -> None:
    """What stands between two looks at the same: on a terminal it is cleared, elsewhere there is an empty line."""
    if not as_json:
        clears = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        sys.stdout.write("\x1b[H\x1b[2J" if clears else "\n")


def fail(*problems: str) -> NoReturn:
    """End the command with exit code 1; each problem is a line on stderr."""
    for problem in problems:
        sys.stderr.write(f"pipeline: {escaped(problem)}\n")
    raise typer.Exit(1)


def time_of(seconds: float) -> str:
    """Return a time of the server in UTC, as ISO 8601; empty when it is not known."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds else ""


def short_time_of(seconds: float) -> str:
    """Return the same for a column: to the second, and without the zone."""
    return time_of(seconds)[:19].replace("T", " ")


class Listing:
    """Rows under headings. On a terminal they appear together at the end, elsewhere each as it comes.

    The first column names the row, for the next command: it is never broken, be the terminal too narrow.
    """

    def __init__(self, *headings: str, right: tuple[str, ...] = ()) -> None:
        """Prepare. `right`: the headings of numbers."""
        self._table: Table | None = None
        self._unprinted = "  ".join(headings) + "\n"
        if sys.stdout.isatty():
            self._table = Table(box=None, pad_edge=False)
            for heading in headings:
                whole = heading in right or heading == headings[0]
                self._table.add_column(
                    heading, justify="right" if heading in right else "left", overflow="fold", no_wrap=whole
                )

    def add(self, *cells: object) -> None:
        """Add a row; an empty cell is a dash."""
        texts = [escaped(str(cell)) or "-" for cell in cells]
        shown = [text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…" for text in texts]
        if self._table is None:
            sys.stdout.write(self._unprinted + "  ".join(shown) + "\n")
            self._unprinted = ""
        else:
            self._table.add_row(*map(Text, shown))

    def end(self) -> None:
        """Show what is not shown yet."""
        if self._table is not None and self._table.row_count:
            console = Console(highlight=False)
            unbound = console.options.update(max_width=10_000)
            console.width = max(console.width, Measurement.get(console, unbound, self._table).minimum)
            console.print(self._table)
