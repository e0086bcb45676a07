"""Backoff: how long a message waits before its next attempt."""

import math
import random
from dataclasses import dataclass
from typing import Final

from consumer.rules.errors import HandlerError
from shared.concurrency.checks import LONGEST_DELAY


@dataclass(frozen=True, slots=True)
class Backoff:
    """A delay that grows with every failure: about 1, 8, 64 and 300 seconds, so that five attempts outlast an outage.

    Messages that failed together come again spread out (Brooker, "Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015).
    """

    first: float = 1.0
    """The longest delay after the first failure, in seconds."""
    longest: float = 300.0
    """The longest delay after any failure, in seconds."""
    factor: float = 8.0
    """By how much the longest delay grows with each failure."""
    jitter: float = 0.25
    """The part of each delay that chance may take off it, from 0 to 1: with 1 it is anything from nothing on."""

    def __post_init__(self) -> None:
        """Check the values.

        :raises HandlerError: when one is not a number or out of range.
        """
        for word, least, value in (
            ("jitter", 0, self.jitter),
            ("first", 0, self.first),
            ("longest", self.first, self.longest),
            ("factor", 1, self.factor),
        ):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise HandlerError(f"Backoff({word}={value!r}): write a number")
            most = 1 if word == "jitter" else LONGEST_DELAY
            if not least <= value <= most:
                raise HandlerError(f"Backoff({word}={value!r}): write a number from {least:g} to {most:.0f}")

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after a failure; `failures`: how many came before it."""
        try:
            most = min(self.longest, self.first * self.factor**failures)
        except OverflowError:
            most = self.longest
        return random.uniform(most * (1 - self.jitter), most)  # noqa: S311  # no secret


USUAL_BACKOFF: Final = Backoff()
