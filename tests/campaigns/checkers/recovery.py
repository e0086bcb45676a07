"""Recovery: how long it takes until messages are handled again once a fault is healed."""

from bisect import bisect_left
from collections.abc import Iterable
from math import inf

from tests.campaigns.checkers.gaps import Gap, starved


def longest_recovery(heals: Iterable[int], handled: Iterable[int], gaps: Iterable[Gap]) -> float:
    """Seconds from a heal to the next handling, at most, less the time in which some process had no turn.

    All in nanoseconds. Infinite when nothing was handled any more.
    """
    moments, every = sorted(handled), tuple(gaps)
    longest = 0.0
    for heal in heals:
        at = bisect_left(moments, heal)
        if at == len(moments):
            return inf
        longest = max(longest, (moments[at] - heal) / 1e9 - starved(every, heal, moments[at]))
    return longest
