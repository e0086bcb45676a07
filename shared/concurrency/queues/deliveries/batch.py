"""Batch: several messages in somebody's hands at once, as a handler sees them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeVar

from shared.concurrency.queues.deliveries.delivery import Delivery

T = TypeVar("T")


class Batch(Sequence[Delivery[T]], ABC):
    """Deliveries that are handled together, in the order in which they were taken: a sequence of Delivery.

    All are acknowledged together on a clean end, and nacked together on an exception, but for those that were settled
    by themselves: by `fail`, or by `ack`, `nack` and `dead_letter` of the delivery. Each has its own attempts, effects
    and errors.

    `async with await queue.get_many(100, within=0.5) as batch:` does what `async with` does with one delivery: a
    cancellation gives back; when the session passes its deadline inside the block, the body is cancelled and
    StaleDelivery raised in its place.

    When somebody cancels one of the messages, the batch goes on for the others: its `cancelled` is True, and nothing
    that is done for it is kept. Once all that are not settled are cancelled, the body is, too (MessageCancelled).
    """

    __slots__ = ()

    @property
    @abstractmethod
    def items(self) -> list[T]:
        """The messages, in order."""

    @abstractmethod
    def fail(self, delivery: Delivery[T], error: BaseException) -> None:
        """Have one delivery fail with this error, as if it had been handled alone and had raised; the others go on.

        It is settled when the batch ends, however that ends; the last error counts. May be called in any thread.

        :raises ValueError: when the delivery is not of this batch. TypeError: when the error is no exception.
        :raises StaleDelivery: when the delivery is not yours any more, or was settled before.
        """

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __dir__(self) -> list[str]:
        # What rooms keep in it beside is none of a handler's business.
        return dir(Batch)
