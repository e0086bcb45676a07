"""Slot: what one worker coroutine is working on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from consumer.worker.stopwatch import Stopwatch
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.deliveries.held_batch import HeldBatch

T = TypeVar("T")

Work = Handout[T] | HeldBatch[T]
"""What a handler is called with."""


@dataclass(slots=True)
class Slot(Generic[T]):
    """What one worker coroutine is working on."""

    stopwatch: Stopwatch
    """Measures its handlers."""
    work: Work[T] | None = None
    seen: Work[T] | None = None
    """What the watch saw at its last check."""
    checks: int = 0
    """How many checks in a row have seen that."""
    timed_out: Work[T] | None = None
    """The one whose handler the watch has cancelled."""

    def is_cancelled(self, task: asyncio.Task[None]) -> bool:
        """Whether its task was cancelled by somebody else than the watch or the end of a session."""
        is_lost = self.work is not None and self.work.state == "lost"
        return task.cancelling() > 0 and self.timed_out is None and not is_lost


def handouts_of(work: Work[T]) -> Sequence[Handout[T]]:
    """All that a handler is called with at once; one at least."""
    return work.handouts if isinstance(work, HeldBatch) else [work]
