"""Losses that are promised: a server that comes back with older data has forgotten its last moments, and no more."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Losses:
    """What was lost, and how far it reaches back."""

    count: int
    reach: float
    """Seconds from the oldest loss to the moment that took it; 0 without a loss."""
    unexplained: int
    """Behind the last such moment, or too far before the next."""


def explain(lost: Iterable[int], forgotten_at: Iterable[int], seconds: float, late: float) -> Losses:
    """Compare when each lost thing was acknowledged with when the server forgot; all in nanoseconds.

    What was answered up to `seconds` before such a moment may be lost. An answer that was on its way may have been read
    `late` seconds after it.
    """
    moments = sorted(forgotten_at)
    count = unexplained = 0
    reach = 0.0
    for at in lost:
        count += 1
        following = bisect_left(moments, at - late * 1e9)
        before = (moments[following] - at) / 1e9 if following < len(moments) else inf
        if before > seconds:
            unexplained += 1
        else:
            reach = max(reach, before)
    return Losses(count, reach, unexplained)
