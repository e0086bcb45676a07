"""Overlap: a writer beside anybody else, as those who were inside wrote it down."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from tests.campaigns.checkers.gaps import Gap, starved


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay under a lease; nanoseconds, `left` infinite for who was killed inside."""

    lease: str
    process: str
    is_write: bool
    entered: float
    left: float = inf
    until: float = inf
    """When its lease ended, by its own clock: whoever was killed is not inside for longer."""


def overlaps(visits: Iterable[Visit], gaps: Iterable[Gap], slack: float = 0.0) -> list[tuple[Visit, Visit]]:
    """Pairs that were inside at one time, one of them at least writing.

    Who had no turn (`gaps`) around the time when another entered did not know that its lease was over: that is the
    machine's doing, or the campaign's. `slack`: seconds by which such a gap may lie outside.
    """
    every = tuple(gaps)
    found: list[tuple[Visit, Visit]] = []
    inside: dict[str, list[Visit]] = {}
    for visit in sorted(visits, key=lambda each: each.entered):
        others = [other for other in inside.get(visit.lease, []) if min(other.left, other.until) > visit.entered]
        found += [
            (other, visit)
            for other in others
            if (other.is_write or visit.is_write) and not _is_excused(other, visit, every, slack * 1e9)
        ]
        inside[visit.lease] = [*others, visit]
    return found


def _is_excused(earlier: Visit, later: Visit, gaps: tuple[Gap, ...], slack: float) -> bool:
    end = min(earlier.left, earlier.until, later.left)
    began, ended = earlier.entered, (later.entered if end == inf else end) + slack
    return any(starved(gaps, began, ended, process) > 0 for process in {earlier.process, later.process})
