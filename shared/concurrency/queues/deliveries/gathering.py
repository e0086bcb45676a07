"""Gathering: sets deliveries aside until there are enough of them for a batch, or the first has waited long enough."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.deliveries.held_batch import HeldBatch
from shared.concurrency.queues.deliveries.settling import Settler
from shared.concurrency.queues.encoding.entry import crashes_of, failures_of
from shared.concurrency.queues.takes.pace import Pace

T = TypeVar("T")

_SUSPECT: Final = 2


class Company(NamedTuple):
    """How many messages of a class are handled together, and how long the first waits for the others."""

    most: int
    within: float
    attempts: int | None
    """Failures until one of them is a dead letter; None for what is stored with the queue."""


class Gathering(Generic[T]):
    """The batches of one prefetch, by message class.

    What is set aside is leased and renewed as all that is held, and uses up no worker. The prefetch does not give it
    back: it is begun with, as far as others are concerned.
    """

    def __init__(
        self, companies: Mapping[type[Any], Company], settler: Settler, pace: Pace, wake: Callable[[], None]
    ) -> None:
        """`companies`: those classes whose messages are handled in batches; `wake` wakes a worker for a batch."""
        self.companies: Final = companies
        self.due: Final[deque[HeldBatch[T]]] = deque()
        """Batches that the next free worker begins with."""
        self._settler: Final = settler
        self.pace: Final = pace
        self._wake: Final = wake
        self._aside: Final[dict[type[Any], list[Handout[T]]]] = {}
        self._timers: Final[dict[type[Any], asyncio.TimerHandle]] = {}
        self._loop: Final = asyncio.get_running_loop()

    def add(self, handout: Handout[T]) -> None:
        """Set one aside whose class is handled in batches."""
        kind = type(handout.item)
        self.pace.started += 1
        self.pace.set_aside += 1
        company = self.companies[kind]
        if self._goes_alone(handout, company):
            self._complete([handout])
            return
        aside = self._aside.setdefault(kind, [])
        aside.append(handout)
        if len(aside) >= company.most:
            self._close(kind)
        elif len(aside) == 1:
            self._timers[kind] = self._loop.call_later(company.within, self._close, kind)
        self._measure()

    def take(self) -> HeldBatch[T]:
        """Take out the batch that is due first."""
        batch = self.due.popleft()
        self._measure()
        return batch

    def withdraw(self, receipt: bytes) -> None:
        """Let go of one that no worker has begun with, if it is here: its message was cancelled."""
        for batch in [batch for batch in self.due if batch.holds(receipt)]:
            left = [handout for handout in batch.handouts if handout.receipt != receipt]
            at = self.due.index(batch)
            self.due.remove(batch)
            if left:
                self.due.insert(at, HeldBatch(left))
        for kind, aside in list(self._aside.items()):
            aside[:] = [handout for handout in aside if handout.receipt != receipt]
            if not aside:
                self._timers.pop(kind).cancel()
                del self._aside[kind]
        self._measure()

    def close_all(self) -> None:
        """Nothing more will come: what there is makes batches."""
        for kind in list(self._aside):
            self._close(kind)
        self._measure()

    def forget(self) -> list[Handout[T]]:
        """Let go of all that no worker has begun with; returns it."""
        handouts = [handout for batch in self.due for handout in batch.handouts]
        handouts.extend(handout for aside in self._aside.values() for handout in aside)
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._aside.clear()
        self.due.clear()
        self._measure()
        return handouts

    def _goes_alone(self, handout: Handout[T], company: Company) -> bool:
        """Whether it might drag others along: it crashed twice, or another failure makes a dead letter of it."""
        if crashes_of(handout.entry) >= _SUSPECT:
            return True
        return failures_of(handout.entry) > 0 and self._settler.is_last_attempt(handout, company.attempts)

    def _close(self, kind: type[Any]) -> None:
        if kind in self._timers:
            self._timers.pop(kind).cancel()
        self._complete(self._aside.pop(kind))

    def _complete(self, handouts: list[Handout[T]]) -> None:
        self.due.append(HeldBatch(handouts))
        self._measure()
        self._wake()

    def _measure(self) -> None:
        """Want what the open batches lack; none while one waits for a worker."""
        lacking = sum(self.companies[kind].most - len(aside) for kind, aside in self._aside.items())
        self.pace.lacking = 0 if self.due else lacking
