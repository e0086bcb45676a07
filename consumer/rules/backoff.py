"""Backoff: how long a message waits before its next attempt."""

import math
import random
from dataclasses import dataclass
from typing import Final

from consumer.rules.errors import HandlerError

_LONGEST = 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """A delay that grows with every failure, with full jitter: anything between nothing and the grown delay.

    Messages that failed together come again spread out (Brooker, "Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015).
    """

    first: float = 0.25
    """The longest delay after the first failure, in seconds."""
    longest: float = 60.0
    """The longest delay after any failure, in seconds."""
    factor: float = 2.0
    """By how much the longest delay grows with each failure."""

    def __post_init__(self) -> None:
        """Check the values.

        :raises HandlerError: when one is not a number or out of range.
        """
        for word, least, value in (
            ("first", 0, self.first),
            ("longest", self.first, self.longest),
            ("factor", 1, self.factor),
        ):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise HandlerError(f"Backoff({word}={value!r}): write a number")
            if not least <= value <= _LONGEST:
                raise HandlerError(f"Backoff({word}={value!r}): write a number from {least:g} to {_LONGEST:.0f}")

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after a failure; `failures`: how many came before it."""
        try:
            most = min(self.longest, self.first * self.factor**failures)
        except OverflowError:
            most = self.longest
        return random.uniform(0, most)  # noqa: S311  # no secret


USUAL_BACKOFF: Final = Backoff()
