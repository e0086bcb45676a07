"""Recovery: how long it takes until messages are handled again once a fault is healed."""

from bisect import bisect_left
from collections.abc import Collection, Iterable
from itertools import pairwise
from math import inf

from tests.campaigns.checkers.gaps import Gap, all_starved

Groups = Collection[Collection[str]]
"""Processes by what they do: while nobody of one of them has a turn, nothing can be handled."""


def longest_recovery(heals: Iterable[int], handled: Iterable[int], gaps: Iterable[Gap], groups: Groups) -> float:
    """Seconds from a heal to the next handling, at most, less the time in which no process of a group had a turn.

    All in nanoseconds. Infinite when nothing was handled any more.
    """
    moments, every = sorted(handled), tuple(gaps)
    longest = 0.0
    for heal in heals:
        at = bisect_left(moments, heal)
        if at == len(moments):
            return inf
        longest = max(longest, _awake(heal, moments[at], every, groups))
    return longest


def longest_pause(handled: Iterable[int], gaps: Iterable[Gap], groups: Groups) -> float:
    """Seconds from one handling to the next, likewise."""
    every = tuple(gaps)
    return max((_awake(one, other, every, groups) for one, other in pairwise(sorted(handled))), default=0.0)


def _awake(began: int, ended: int, gaps: tuple[Gap, ...], groups: Groups) -> float:
    return (ended - began) / 1e9 - all_starved(gaps, began, ended, groups)
