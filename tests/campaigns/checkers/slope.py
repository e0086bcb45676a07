"""Whether a figure grows: a line is fitted to it (least squares), and its slope compared with its own noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Slope:
    """A fitted line."""

    per_hour: float
    error: float
    """The standard error of the slope, an hour."""
    mean: float

    @property
    def is_flat(self) -> bool:
        """Whether the line is level: within three standard errors, or less than a twentieth of the mean in an hour."""
        return self.per_hour <= max(3 * self.error, self.mean / 20)


def fit(samples: Sequence[tuple[float, float]]) -> Slope:
    """Fit a line to pairs of seconds and a figure; the first third is left out, for everything fills up at first.

    :raises ValueError: when there are fewer than ten samples.
    """
    if len(samples) < 10:
        raise ValueError(f"a line needs ten samples, not {len(samples)}")
    kept = samples[len(samples) // 3 :]
    count = len(kept)
    mean_x, mean_y = sum(x for x, _ in kept) / count, sum(y for _, y in kept) / count
    spread = sum((x - mean_x) ** 2 for x, _ in kept)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in kept) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in kept)
    return Slope(slope * 3600, sqrt(rest / (count - 2) / spread) * 3600, mean_y)
