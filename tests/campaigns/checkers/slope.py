"""Whether a figure grows: a line is fitted to it (least squares), and its slope compared with its own noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Final

FEWEST: Final = 10
"""So many samples make a line."""


@dataclass(frozen=True)
class Slope:
    """A fitted line."""

    per_hour: float
    error: float
    """The standard error of the slope, an hour; larger where each figure is like the one before it."""
    mean: float
    seconds: float
    """How long it was watched for."""

    @property
    def is_flat(self) -> bool:
        """Whether the line is level: within three standard errors, or less than a twentieth of the mean in an hour."""
        return self.per_hour <= max(3 * self.error, self.mean / 20)

    def grows_by(self, grain: float) -> bool:
        """Whether it grows, by more than this in the time it was watched for: a figure may go in grains."""
        return not self.is_flat and self.per_hour * self.seconds / 3600 > grain

    def __str__(self) -> str:
        """The figures, for people."""
        return (
            f"{self.per_hour:+,.1f} an hour, three errors {3 * self.error:,.1f}, mean {self.mean:,.1f}, "
            f"over {self.seconds:,.0f} s"
        )


def fit(samples: Sequence[tuple[float, float]]) -> Slope:
    """Fit a line to pairs of seconds and a figure; the first third is left out, for everything fills up at first.

    :raises ValueError: when there are fewer than ten samples.
    """
    if len(samples) < FEWEST:
        raise ValueError(f"a line needs ten samples, not {len(samples)}")
    kept = samples[len(samples) // 3 :]
    count = len(kept)
    mean_x, mean_y = sum(x for x, _ in kept) / count, sum(y for _, y in kept) / count
    spread = sum((x - mean_x) ** 2 for x, _ in kept)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in kept) / spread
    rests = [y - mean_y - slope * (x - mean_x) for x, y in kept]
    error = sqrt(sum(rest**2 for rest in rests) / (count - 2) / spread) * _inflation(rests)
    return Slope(slope * 3600, error * 3600, mean_y, kept[-1][0] - kept[0][0])


def _inflation(rests: Sequence[float]) -> float:
    """By how much the error grows, for figures that go in steps or waves are fewer than they seem.

    From the correlation r of neighbours: sqrt((1 + r) / (1 - r)).
    """
    whole = sum(rest**2 for rest in rests)
    if not whole:
        return 1.0
    alike = sum(one * other for one, other in pairwise(rests)) / whole
    alike = min(max(alike, 0.0), 1 - 2 / len(rests))
    return sqrt((1 + alike) / (1 - alike))
