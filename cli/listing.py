"""A listing: a table on a terminal, plain lines elsewhere; foreign text is made harmless for both."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_LONGEST = 200
"""Characters of a cell at most; `show` and --json print longer texts in full."""


def harmless(text: str) -> str:
    """Return a text in which characters that control a terminal or are invisible appear as escapes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def write_json(value: Mapping[str, Any]) -> None:
    """Write one object on one line, in ASCII."""
    sys.stdout.write(json.dumps(value) + "\n")


class Listing:
    """Rows under headings. On a terminal they appear together at the end, elsewhere each as it comes."""

    def __init__(self, *headings: str, right: tuple[str, ...] = ()) -> None:
        """Prepare. `right`: the headings of numbers."""
        self._table: Table | None = None
        if sys.stdout.isatty():
            self._table = Table(box=None, pad_edge=False)
            for heading in headings:
                self._table.add_column(
                    heading, justify="right" if heading in right else "left", overflow="fold", no_wrap=heading in right
                )

    def add(self, *cells: object) -> None:
        """Add a row; an empty cell is a dash."""
        texts = [harmless(str(cell)) or "-" for cell in cells]
        shown = [text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…" for text in texts]
        if self._table is None:
            sys.stdout.write("  ".join(shown) + "\n")
        else:
            self._table.add_row(*map(Text, shown))

    def end(self) -> None:
        """Show what is not shown yet."""
        if self._table is not None and self._table.row_count:
            Console(highlight=False).print(self._table)
