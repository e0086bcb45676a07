"""Batches: what a handler that takes many messages at once imports.

`@handles(Row, batch=Gather(most=100, within=0.5))` above `async def f(batch: Batch[Row], pipeline)`.
"""

from dataclasses import dataclass

from consumer.rules.errors import HandlerError
from shared.concurrency import Batch
from shared.concurrency.checks import check_together

__all__ = ["Batch", "Gather"]


@dataclass(frozen=True, slots=True)
class Gather:
    """How many messages of a class its handler gets together, and how long the first of them waits for the others."""

    most: int
    """From 1 to 1,000. With so many the handler runs at once."""
    within: float
    """Seconds, up to a day. When the first has waited so long the handler runs with what there is."""

    def __post_init__(self) -> None:
        """Check the values.

        :raises HandlerError: when one is not a number or out of range.
        """
        try:
            check_together(self.most, self.within)
        except ValueError as error:
            raise HandlerError(f"Gather(most={self.most!r}, within={self.within!r}): {error}") from None
