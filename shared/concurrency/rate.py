"""Rate: how often something may happen, and how much of it at once."""

import math
from dataclasses import dataclass
from typing import Final

from shared.concurrency.checks import check_count, check_seconds

_MOST: Final = 1_000_000
_LONGEST: Final = 366 * 86400.0


@dataclass(frozen=True)
class Rate:
    """`count` times in `per` seconds, evenly: `Rate(100, per=60.0)` is one in each 0.6 s.

    After a rest up to `burst` go at once, and no more than that ever do: in any time of so many seconds there are at
    most `burst` more than the rate has in it. The server counts in whole microseconds, rounded up for each one.

    :raises ValueError: when it has no time or number in range.
    """

    count: int
    per: float = 1.0
    burst: int = 1

    def __post_init__(self) -> None:
        """Refuse what is no rate."""
        check_count("count", self.count, 1, None)
        check_seconds("per", self.per, 1e-6, _LONGEST)
        check_count("burst", self.burst, 1, _MOST)
        if self.count > self.per * _MOST:
            raise ValueError(f"a rate has at most {_MOST:,} a second, not {self.count:,} in {self.per:g} s")
        if interval_of(self) * self.burst > _LONGEST * 1e6:
            raise ValueError(f"a burst is at most what a rate has in 366 days, not {self.burst:,}")


def interval_of(rate: Rate) -> int:
    """The time of one, in microseconds, rounded up."""
    # What a float lacks of a whole number must not become a whole microsecond.
    return max(1, math.ceil(round(rate.per * 1e6 / rate.count, 3)))
