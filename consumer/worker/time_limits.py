"""Time limits: for how long a handler may run, and the watch that cancels it then."""

import asyncio
import math
from collections.abc import Mapping
from typing import Final, Generic, TypeVar

from consumer.worker.slot import Slot, Work, handouts_of

T = TypeVar("T")


class TimeLimits(Generic[T]):
    """The limit of all messages, and those of classes that have one of their own; in seconds."""

    def __init__(self, usual: float, of_types: Mapping[type[T], float]) -> None:
        """Prepare; `watch` watches."""
        self._usual: Final = usual
        self._of_types: Final = dict(of_types)

    def of(self, work: Work[T]) -> float:
        """How long the handler may take for this."""
        return self._of_types.get(type(handouts_of(work)[0].item), self._usual)

    async def watch(self, slots: "Mapping[asyncio.Task[None], Slot[T]]") -> None:
        """Cancel handlers over their limit. Coarse: a message costs neither a timer nor a reading of the clock."""
        pause = max(0.01, min([1.0, self._usual / 10, *(limit / 10 for limit in self._of_types.values())]))
        while True:
            await asyncio.sleep(pause)
            for task, slot in slots.items():
                if slot.timed_out is not None and slot.timed_out is not slot.work:
                    # Its handler swallowed the cancellation.
                    slot.timed_out = None
                    task.uncancel()
                work = slot.work
                slot.seen, slot.checks = work, slot.checks + 1 if work is slot.seen else 1
                if work is None or slot.timed_out is not None:
                    continue
                # One check more, because the handler began between two: none is cancelled early.
                if slot.checks > math.ceil(self.of(work) / pause):
                    slot.timed_out = work
                    task.cancel()
