"""Histogram: how many times took how long, in buckets with fixed bounds."""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
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


@dataclass(frozen=True, slots=True)
class Measured:
    """A histogram at one moment."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    """For each of the bounds 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900
    and 3600 seconds, and one more for what is longer."""
    seconds: float = 0.0
    """All together."""

    @property
    def total(self) -> int:
        """How many were measured."""
        return sum(self.counts)

    def __add__(self, other: "Measured") -> "Measured":
        """Both together."""
        counts = tuple(map(sum, zip(self.counts, other.counts, strict=True)))
        return Measured(counts, self.seconds + other.seconds)

    def since(self, before: "Measured") -> "Measured":
        """What was measured since then; all of it where it began anew meanwhile."""
        counts = tuple(now - then for now, then in zip(self.counts, before.counts, strict=True))
        return self if min(counts) < 0 else Measured(counts, max(0.0, self.seconds - before.seconds))

    def quantile(self, share: float) -> float | None:
        """How long that share of them took at most, in seconds, as if those of a bucket lay at even distances.

        None where nothing was measured. What is longer than the last bound counts as that.
        """
        wanted = share * self.total
        if not self.total:
            return None
        for place, (upto, count) in enumerate(zip(accumulate(self.counts), self.counts, strict=True)):
            if count and upto >= wanted:
                if place == len(BOUNDS):
                    break
                low = BOUNDS[place - 1] if place else 0.0
                return low + (BOUNDS[place] - low) * (wanted - (upto - count)) / count
        return BOUNDS[-1]
