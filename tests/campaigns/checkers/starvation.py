"""Starvation: who waited for longer than anybody may, while its process and the others had their turns."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.campaigns.checkers.gaps import Gap, starved


@dataclass(frozen=True, slots=True)
class Wait:
    """One call that waited; nanoseconds."""

    process: str
    asked: float
    got: float


def longest_wait(waits: Iterable[Wait], gaps: Iterable[Gap]) -> float:
    """The longest wait in seconds, less the time in which the process that waited had no turn."""
    by_process: dict[str, list[Gap]] = {}
    for gap in gaps:
        by_process.setdefault(gap.process, []).append(gap)
    return max(
        (
            (wait.got - wait.asked) / 1e9 - starved(by_process.get(wait.process, ()), wait.asked, wait.got)
            for wait in waits
        ),
        default=0.0,
    )
