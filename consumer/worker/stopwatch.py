"""Stopwatch: measures how long handlers take, without a reading of the clock for each quick one."""

from time import monotonic
from typing import Final

from shared.concurrency.queues.service import BOUNDS, Histogram

_SHORTEST: Final = BOUNDS[0]
_MOST: Final = 32


class Stopwatch:
    """Measures the handlers that one worker calls, one or several at a time.

    Where several together took less than the shortest bound, each of them did. Where they did not, one is taken for
    slow and the others for quick, and the next is measured alone. Their sum is exact.
    """

    __slots__ = ("_size", "_took", "began_at")

    def __init__(self, took: Histogram) -> None:
        """Prepare to measure one; what is measured goes into `took`."""
        self._took: Final = took
        self.began_at = monotonic()
        """When the first of them began, put off by the time in which none was called."""
        self._size = 1

    def lap(self) -> int:
        """All that are measured together have ended, and the next one begins; returns how many are from there on."""
        now = monotonic()
        seconds = now - self.began_at
        self.began_at = now
        self._record(seconds, self._size)
        if seconds >= _SHORTEST:
            self._size = 1
        elif seconds < _SHORTEST / 4:
            self._size = min(_MOST, 2 * self._size)
        return self._size

    def rest(self, left: int) -> None:
        """No handler is called, for long maybe; `left`: how many of those measured together have not come yet.

        Those that have come are counted.
        """
        now = monotonic()
        if left < self._size:
            self._record(now - self.began_at, self._size - left)
            self._size = left
        self.began_at = now

    def _record(self, seconds: float, count: int) -> None:
        took = self._took
        if seconds < _SHORTEST:
            took.counts[0] += count
            took.seconds += seconds
        else:
            took.counts[0] += count - 1
            took.observe(seconds)
