"""Pace: how much a prefetch wants, from its rate and from who is free."""

from collections.abc import Sized
from time import monotonic
from typing import Final

_MOST_AHEAD: Final = 400
_AHEAD_SECONDS: Final = 0.005
_MEASURED_SECONDS: Final = 0.020
OPENED_AT_ONCE: Final = 24
"""Entries that are read at a time."""


class Pace:
    """Knows how many entries are wanted: one for each free worker, and what is handled in 5 ms.

    The rate is that of the last 20 ms or more. It reads what the prefetch keeps, so nobody has to notify it.
    """

    def __init__(self, workers: int, free: Sized, buffer: Sized, taken: Sized) -> None:
        """`free`: the workers that wait; `buffer`, `taken`: what is in hand and has not started."""
        self.workers: Final = workers
        """How many deliveries are handled at once."""
        self.started = 0
        """Deliveries that a worker has begun with, so far."""
        self.rising = 0
        """Workers that are woken and have not run yet: each takes one of those in hand."""
        self.is_ended = False
        """Whether nothing is wanted any more."""
        self.is_cautious = False
        """Whether one at a time is enough: most of what comes cannot be read here."""
        self.set_aside = 0
        """Of those that count as started: set aside for a batch so far. They say nothing of the rate of workers."""
        self.lacking = 0
        """How many more the batches that are being gathered could do with."""
        self.low = 0
        """With so few in hand it is worth a call: half of what is worked ahead."""
        self._free = free
        self._buffer = buffer
        self._taken = taken
        self._ahead = 0
        self._measured = 0, monotonic()
        """How many had started, and when that was."""

    def in_hand(self) -> int:
        """Entries that have not started."""
        return len(self._buffer) + len(self._taken)

    def wants(self) -> int:
        """How many entries may come now."""
        if self.is_ended:
            return 0
        now = monotonic()
        measured, measured_at = self._measured
        elapsed = now - measured_at
        if elapsed >= _MEASURED_SECONDS:
            started = self.started - self.set_aside
            self._ahead = min(_MOST_AHEAD, int((started - measured) / elapsed * _AHEAD_SECONDS))
            self.low = self._ahead // 2
            self._measured = started, now
        if self.is_cautious:
            return int(len(self._free) > 0 and self.in_hand() == 0)
        wanted = len(self._free) + self.rising
        if self.lacking and wanted:  # without a free worker nobody sets aside what comes
            wanted += self.lacking
        return max(0, wanted + self._ahead - self.in_hand())

    def is_hungry(self) -> bool:
        """Whether it is worth a call."""
        return len(self._buffer) + len(self._taken) <= self.low + OPENED_AT_ONCE and self.wants() > 0

    def is_idle(self) -> bool:
        """Whether no worker is handling anything, or about to: a handler may keep the loop from turning."""
        return len(self._free) == self.workers
