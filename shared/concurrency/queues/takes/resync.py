"""Resync: has a call give back what the server believes that this process holds, and it does not (rule 7)."""

import asyncio
from collections.abc import Callable
from typing import Final

_SECONDS: Final = 1.0


class Resync:
    """Whether nobody knows what a call has done; a later call that resyncs tells."""

    __slots__ = ("_call", "_timer", "doubts", "failed", "resolved")

    def __init__(self, call: Callable[[], None]) -> None:
        """Begin without a doubt; `call` has a call made that resyncs."""
        self._call = call
        self._timer: asyncio.TimerHandle | None = None
        self.doubts = 0
        """How often nobody knew."""
        self.failed = 0
        """Settlements that the server refused for good and nothing has given back yet."""
        self.resolved = 0
        """How many of these doubts there were when the call was made that was answered last."""

    def resolve(self, doubts: int) -> None:
        """A call that was made after so many doubts was answered."""
        self.resolved = doubts
        if self.failed and not self.is_needed():
            self.failed = 0

    def is_needed(self) -> bool:
        """Whether a doubt is left."""
        return self.doubts != self.resolved

    def doubt(self) -> None:
        """Nobody knows what a call has done, or whether what is held here is known there."""
        self.doubts += 1

    def call_later(self) -> None:
        """Have a call made in a second; one, however many fail until then."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._call_now)

    def stop(self) -> None:
        """Have no call made any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _call_now(self) -> None:
        self._timer = None
        self._call()
