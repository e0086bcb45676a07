"""Resync: has a call give back what the server believes that this process holds, and it does not (rule 7)."""

import asyncio
from collections.abc import Callable
from typing import Final

_SECONDS: Final = 1.0
_AT_ONCE: Final = 500
"""So many are given back by name in one call."""


class Resync:
    """Whether nobody knows what a call has done; a later call that resyncs tells.

    It says what is held. Where that is very much, a call without that comes first: from its answer on no earlier one
    can be carried out. Then what the server leases to this process is read some at a time, and what is not held goes
    back by name.
    """

    __slots__ = ("_call", "_read_at", "_timer", "_unknown", "doubts", "failed", "is_much", "resolved")

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
        self.is_much = False
        """Whether the server has said that it leases very much to this process."""
        self._unknown: list[bytes] = []
        """Receipts, in order, of what the server leases to this process, and it does not hold."""
        self._read_at = 0
        """How many doubts there were when that was read; 0: it is to be read."""

    def answered(self, doubts: int, named: list[bytes] | None, more: int) -> bool:
        """A call was answered that resolves so many doubts and gave these back by name; whether another one is due.

        `more`: 1 when there was too much to be given back by it, 2 when there was too much to be looked at.
        """
        if named is not None:
            del self._unknown[: len(named)]
        if more:
            self.doubt()
        self.resolved = doubts
        if not self.is_needed():
            self.failed, self.is_much = 0, False
        elif more == 2:
            self.is_much = True
        return more > 0 or named is not None

    def is_needed(self) -> bool:
        """Whether a doubt is left."""
        return self.doubts != self.resolved

    def found(self, unknown: list[bytes], doubts: int) -> None:
        """What is to go back by name; `doubts`: how many there were when the call was made that came before."""
        self._unknown, self._read_at = unknown, doubts

    def named(self) -> list[bytes] | None:
        """What the next call gives back by name; None where that is to be read first."""
        return self._unknown[:_AT_ONCE] if self._read_at == self.doubts else None

    def is_last(self, named: list[bytes]) -> bool:
        """Whether nothing is left to name behind these."""
        return len(named) == len(self._unknown)

    def forget(self) -> None:
        """The session is over, and what was read of it."""
        self._unknown, self._read_at, self.is_much = [], 0, False

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
