"""What goes in must come out: Jepsen's total-queue checker (jepsen/checker.clj, `total-queue`)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Range(Protocol):
    """A phase of putting a range of numbers."""

    @property
    def part(self) -> int:
        """Whose numbers they are."""

    @property
    def phase(self) -> str:
        """`invoke`, `ok`, `fail` or `info`."""

    @property
    def first(self) -> int:
        """The first number."""

    @property
    def last(self) -> int:
        """The last number."""


Name = tuple[int, int]
"""A message: the part, and its number."""


@dataclass(frozen=True)
class Totals:
    """A verdict; the run is sound when `lost`, `unexpected` and `defiant` are empty."""

    attempted: int
    """Without those that were refused for good."""
    acknowledged: int
    handled: int
    """Different messages that were handled."""
    lost: frozenset[Name]
    """Acknowledged to the producer, and never handled."""
    unexpected: frozenset[Name]
    """Handled, and never asked for."""
    duplicated: int
    """How often a message was handled once more."""
    recovered: int
    """Handled though the producer never knew whether it was in."""
    refused: int
    """Definitely not put: the producer was told so."""
    defiant: frozenset[Name]
    """Refused, and handled nevertheless."""


def total_queue(events: Iterable[Range], handled: Iterable[Name]) -> Totals:
    """Compare what producers asked for, and what they know to be in, with what was handled."""
    attempted: set[Name] = set()
    acknowledged: set[Name] = set()
    refused: set[Name] = set()
    for event in events:
        numbers = ((event.part, number) for number in range(event.first, event.last + 1))
        if event.phase == "invoke":
            attempted.update(numbers)
        elif event.phase == "ok":
            acknowledged.update(numbers)
        elif event.phase == "fail":
            refused.update(numbers)
    times = Counter(handled)
    return Totals(
        attempted=len(attempted - refused),
        acknowledged=len(acknowledged),
        handled=len(times),
        lost=frozenset(acknowledged - times.keys()),
        unexpected=frozenset(times.keys() - attempted),
        duplicated=times.total() - len(times),
        recovered=len((attempted - acknowledged) & times.keys()),
        refused=len(refused),
        defiant=frozenset(refused & times.keys()),
    )
