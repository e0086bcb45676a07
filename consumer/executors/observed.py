"""ObservedDispatch: calls handlers as Dispatch does, and reports when each begins and ends."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, Protocol

from consumer.executors.dispatch import Dispatch
from consumer.executors.log_fields import fields_of
from consumer.rules.handler import Handler
from shared.concurrency import Batch, Delivery
from shared.concurrency.session.clock import boottime
from shared.log_context import described_by
from shared.logs import Log
from shared.message import Message
from shared.pipeline import Pipeline

log = Log("consumer")


class Observer(Protocol):
    """Who is told of each delivery; of a batch, of each delivery in it."""

    def begins(self, delivery: Delivery[Any], now: float) -> None:
        """Its handler is called now, by the local clock."""

    def ends(self, delivery: Delivery[Any], seconds: float, error: BaseException | None) -> None:
        """Its handler has ended after so many seconds, by this error or by returning."""


class ObservedDispatch(Dispatch):
    """The service uses it where somebody wants to know: without it a delivery costs nothing more."""

    def __init__(
        self, handlers: Mapping[type[Message], Handler], pipeline: Pipeline, observers: Sequence[Observer]
    ) -> None:
        """As Dispatch."""
        super().__init__(handlers, pipeline)
        self._observers: Final = observers

    def handle(self, delivery: Delivery[Message]) -> Awaitable[object]:
        """As Dispatch.handle."""
        return self._observed([delivery], super().handle(delivery))

    def handle_batch(self, batch: Batch[Message]) -> Awaitable[object]:
        """As Dispatch.handle_batch."""
        return self._observed(list(batch), super().handle_batch(batch))

    async def _observed(self, deliveries: Sequence[Delivery[Message]], handling: Awaitable[object]) -> object:
        began = boottime()
        for delivery in deliveries:
            for observer in self._observers:
                observer.begins(delivery, began)
        error = None
        try:
            return await handling
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._ended(deliveries, boottime() - began, error)

    def _ended(self, deliveries: Sequence[Delivery[Message]], seconds: float, error: BaseException | None) -> None:
        for delivery in deliveries:
            for observer in self._observers:
                observer.ends(delivery, seconds, error)


class LoggedDeliveries:
    """Logs each delivery at debug: when its handler is called, and when it has ended."""

    def __init__(self, handlers: Mapping[type[Message], Handler], queue: str) -> None:
        """`queue`: its name in the log."""
        self._names: Final = {tp: handler.name for tp, handler in handlers.items()}
        self._queue: Final = queue

    def begins(self, delivery: Delivery[Any], now: float) -> None:  # noqa: ARG002  # see Observer
        """Log it."""
        log.debug("a delivery starts", **self._fields(delivery))

    def ends(self, delivery: Delivery[Any], seconds: float, error: BaseException | None) -> None:
        """Log it; what becomes of the message stands in other lines, where it is not acknowledged."""
        how = "returned" if error is None else "cancelled" if isinstance(error, asyncio.CancelledError) else "raised"
        log.debug("a delivery ends", **self._fields(delivery), seconds=round(seconds, 6), outcome=how)

    def _fields(self, delivery: Delivery[Any]) -> dict[str, object]:
        if (describe := described_by.get()) is not None:
            return describe(delivery)
        return fields_of(delivery, self._names[type(delivery.item)], self._queue)
