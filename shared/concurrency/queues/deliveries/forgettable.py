"""Forgettable: a delivery that gives itself back when nobody knows it any more."""

import warnings
from typing import TypeVar

from shared.concurrency.queues.deliveries.handout import Handout

T = TypeVar("T")


class Forgettable(Handout[T]):
    """A delivery that a caller may forget; the consumer service spares its messages the finalizer."""

    __slots__ = ()

    def __del__(self) -> None:
        if getattr(self, "state", "settled") == "held":
            # First, for a warning may be an error.
            self._settling.give_back_from_any_thread(self.entry)
            warnings.warn(
                f"delivery {self.id} was never settled: given back. Use `async with`, ack() or nack()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
