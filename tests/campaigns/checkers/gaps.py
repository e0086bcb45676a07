"""Gaps: when a process had no turn. Who was starved or stopped cannot be blamed for being late."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which the loop of a process did not run; nanoseconds."""

    process: str
    began: int
    ended: int


def starved(gaps: Iterable[Gap], began: float, ended: float, process: str | None = None) -> float:
    """For how many seconds between two moments a process (or any of them) had no turn; what overlaps counts once."""
    inside = sorted(
        (max(gap.began, began), min(gap.ended, ended))
        for gap in gaps
        if (process is None or gap.process == process) and gap.began < ended and gap.ended > began
    )
    total, reached = 0.0, began
    for start, end in inside:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total / 1e9
