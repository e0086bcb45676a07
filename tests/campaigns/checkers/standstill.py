"""The longest time in which nothing was handled."""

from collections.abc import Iterable
from itertools import pairwise


def longest_standstill(times: Iterable[int]) -> float:
    """Seconds between two neighbours, at most; `times` in nanoseconds, in any order."""
    return max((later - sooner for sooner, later in pairwise(sorted(times))), default=0) / 1e9
