"""Slot: what one worker coroutine is working on."""

import asyncio
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.concurrency.queues.deliveries.handout import Handout

T = TypeVar("T")


@dataclass(slots=True)
class Slot(Generic[T]):
    """What one worker coroutine is working on."""

    handout: Handout[T] | None = None
    seen: Handout[T] | None = None
    """What the watch saw at its last check."""
    checks: int = 0
    """How many checks in a row have seen that."""
    timed_out: Handout[T] | None = None
    """The one whose handler the watch has cancelled."""

    def is_cancelled(self, task: asyncio.Task[None]) -> bool:
        """Whether its task was cancelled by somebody else than the watch or the end of a session."""
        is_lost = self.handout is not None and self.handout.state == "lost"
        return task.cancelling() > 0 and self.timed_out is None and not is_lost
