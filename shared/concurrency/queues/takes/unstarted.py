"""Unstarted: gives back what a prefetch holds and no worker begins with, so that another process may."""

import asyncio
from collections.abc import Callable
from typing import Final

from shared.concurrency.queues.takes.pace import Pace

_SECONDS: Final = 0.100


class Unstarted:
    """Looks every 100 ms: what was in hand at the last look and is still there goes back."""

    def __init__(self, pace: Pace, give_back: Callable[[int], None]) -> None:
        """`give_back` returns so many of the oldest."""
        self._pace = pace
        self._give_back = give_back
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._old_until = 0
        """How many will have started when all that was in hand at the last look has."""

    def watch(self) -> None:
        """Begin to look, unless it does already: something has come."""
        if self._timer is None:
            self._old_until = 0
            self._timer = self._loop.call_later(_SECONDS, self._look)

    def forget(self) -> None:
        """What was in hand is lost: nothing of it can be given back."""
        self._old_until = 0

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        self._give_back(min(max(0, self._old_until - self._pace.started), self._pace.in_hand()))
        if self._pace.in_hand():
            self._old_until = self._pace.started + self._pace.in_hand()
            self._timer = self._loop.call_later(_SECONDS, self._look)
