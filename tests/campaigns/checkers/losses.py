"""Losses that are promised: a server that comes back with older data has forgotten its last moments, and no more."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.campaigns.checkers.gaps import Gap, starved
from tests.campaigns.checkers.strikes import Strike


@dataclass(frozen=True)
class Losses:
    """What was lost, and how far it reaches back."""

    count: int
    reach: float
    """Seconds from the oldest loss to the moment that took it; 0 without a loss."""
    beyond: float
    """The same, less the time for which the machine starved a process that its pulse shows: the server had no more."""
    unexplained: int
    """Behind the last such moment, or from before what the server kept."""


def explain(lost: Iterable[int], strikes: Iterable[Strike], late: float, gaps: Iterable[Gap] = ()) -> Losses:
    """Compare when each lost thing was acknowledged with what the server kept at each strike; all in nanoseconds.

    An answer that was on its way at that moment may have been read `late` seconds after it.
    """
    forgetting = [(strike, strike.kept) for strike in strikes if strike.kept is not None]
    count = unexplained = 0
    oldest: dict[Strike, int] = {}
    for at in lost:
        count += 1
        took = [strike for strike, kept in forgetting if kept <= at <= strike.began + late * 1e9]
        if took:
            first = min(took, key=lambda strike: strike.began)
            oldest[first] = min(oldest.get(first, at), at)
        else:
            unexplained += 1
    every = tuple(gaps)
    reaches = {strike: max(0.0, (strike.began - at) / 1e9) for strike, at in oldest.items()}
    return Losses(
        count,
        max(reaches.values(), default=0.0),
        max((reach - _starved(every, oldest[strike], strike.began) for strike, reach in reaches.items()), default=0.0),
        unexplained,
    )


def _starved(gaps: tuple[Gap, ...], began: int, ended: int) -> float:
    """For how many seconds the process had no turn that the machine starved most."""
    return max((starved(gaps, began, ended, process) for process in {gap.process for gap in gaps}), default=0.0)
