"""Getters: who wants entries here, callers one by one in order, then those who take as many as they can start."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from shared.concurrency.errors import QueueEmpty
from shared.concurrency.queues.takes.pace import Pace
from shared.concurrency.session.futures import reject


class Taker(Protocol):
    """Somebody who takes entries as they come."""

    pace: Pace
    """How many it wants."""

    def accept(self, entries: list[bytes]) -> None:
        """Take these."""

    def withdraw(self, receipt: bytes) -> bool:
        """Take out what has not started, for its message was cancelled; whether that was an entry not read yet."""

    def end(self, error: Exception) -> None:
        """Nothing more will come."""


class Getter:
    """One caller who waits for one entry."""

    __slots__ = ("future", "may_wait")

    def __init__(self, *, may_wait: bool) -> None:
        """Wait for one entry, or for the next answer only."""
        self.may_wait = may_wait
        self.future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()


class Getters:
    """The getters, first come first served (asyncio.Queue's `_getters`), and the takers."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._getters: deque[Getter] = deque()
        self.takers: list[Taker] = []

    def __bool__(self) -> bool:
        return bool(self._getters or self.takers)

    def add(self, getter: Getter) -> None:
        """Let a caller wait."""
        self._getters.append(getter)

    def waiting(self) -> list[Getter]:
        """The callers who wait still, in order."""
        while self._getters and self._getters[0].future.done():
            self._getters.popleft()
        return [getter for getter in self._getters if not getter.future.done()]

    def is_hungry(self) -> bool:
        """Whether a taker is worth a call. Asked twice for a message, so without a generator; so is `are_idle`."""
        for taker in self.takers:  # noqa: SIM110
            if taker.pace.is_hungry():
                return True
        return False

    def workers(self) -> int:
        """How many deliveries are handled at once, at least 1: who takes by hand is not counted."""
        return max(1, sum(taker.pace.workers for taker in self.takers))

    def are_idle(self) -> bool:
        """Whether there are takers, and none of them handles anything."""
        for taker in self.takers:
            if not taker.pace.is_idle():
                return False
        return bool(self.takers)

    def hand_out(self, entries: list[bytes], give_back: Callable[[bytes], None]) -> None:
        """Hand entries to waiting getters in order, then to takers; return the rest."""
        at = 0
        while at < len(entries) and self._getters:
            getter = self._getters.popleft()
            if not getter.future.done():
                getter.future.set_result(entries[at])
                at += 1
        for taker in self.takers:
            share = min(taker.pace.wants(), len(entries) - at) if taker is not self.takers[-1] else len(entries) - at
            taker.accept(entries[at : at + share])
            at += share
        for entry in entries[at:]:
            give_back(entry)

    def refuse(self, asked: list[Getter]) -> None:
        """End those of them who would not wait."""
        for getter in asked:
            if not getter.may_wait:
                reject(getter.future, QueueEmpty("nothing can be delivered now: `get` would wait"))

    def finish(self, asked: list[Getter], error: Exception) -> None:
        """Nothing will come for these, and for takers. Who came later asks anew: the queue may be open again."""
        for getter in asked:
            reject(getter.future, error)
        for taker in list(self.takers):
            taker.end(error)

    def end(self, error: Exception) -> None:
        """Nobody gets anything any more."""
        for getter in self._getters:
            reject(getter.future, error)
        self._getters.clear()
        for taker in list(self.takers):
            taker.end(error)
