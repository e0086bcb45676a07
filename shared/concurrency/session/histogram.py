"""Histogram: how many times took how long, in buckets with fixed bounds."""

from bisect import bisect_left
from typing import Final

BOUNDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
)  # fmt: skip
"""Upper bounds in seconds, each within its bucket; one more bucket holds what is longer."""


class Histogram:
    """Counts since it was made. Written by one thread; another that reads it meanwhile may miss the last."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        """Begin with none."""
        self.counts: Final = [0] * (len(BOUNDS) + 1)
        """For each bucket."""
        self.seconds = 0.0
        """All together."""

    def observe(self, seconds: float, times: int = 1) -> None:
        """Count something that took so long, so many times."""
        self.counts[bisect_left(BOUNDS, seconds)] += times
        self.seconds += seconds * times
