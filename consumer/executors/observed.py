"""ObservedDispatch: calls handlers as Dispatch does, and reports when each begins and ends."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from consumer.executors.dispatch import Dispatch
from consumer.executors.log_fields import fields_of
from consumer.rules.handler import Handler
from shared.concurrency import Batch, Delivery
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.concurrency.queues.encoding.entry import crashes_of
from shared.concurrency.session.clock import boottime
from shared.logs import Log
from shared.message import Message

log = Log("consumer")


Ending = Callable[[float, BaseException | None], None]
"""What is called when a handler has ended: after so many seconds, by this error or by returning."""


class Observer(Protocol):
    """Who is told of all that is handled."""

    def begins(self, work: Delivery[Any] | Batch[Any]) -> Ending:
        """Take note that a handler is called now, in this task; returns what is called when it has ended."""


class ObservedDispatch:
    """Stands before a Dispatch for one queue where somebody wants to know: without it a delivery costs nothing more."""

    def __init__(self, dispatch: Dispatch, observers: Sequence[Observer]) -> None:
        """`observers`: of this queue."""
        self._dispatch: Final = dispatch
        self._observers: Final = observers

    def handle(self, delivery: Delivery[Message]) -> Awaitable[object]:
        """As Dispatch.handle."""
        return self._observed(delivery, self._dispatch.handle(delivery))

    def handle_batch(self, batch: Batch[Message]) -> Awaitable[object]:
        """As Dispatch.handle_batch."""
        return self._observed(batch, self._dispatch.handle_batch(batch))

    async def _observed(self, work: Delivery[Message] | Batch[Message], handling: Awaitable[object]) -> object:
        began = boottime()
        endings = [observer.begins(work) for observer in self._observers]
        error = None
        try:
            return await handling
        except BaseException as raised:  # also cancelled: whoever observes is told
            error = raised
            raise
        finally:
            seconds = boottime() - began
            for ends in reversed(endings):
                ends(seconds, error)


class LoggedDeliveries:
    """Logs each delivery at debug, of a batch each in it: when its handler is called, and when it has ended."""

    def __init__(self, handlers: Mapping[type[Message], Handler], queue: str) -> None:
        """`queue`: its name in the log."""
        self._names: Final = {tp: handler.name for tp, handler in handlers.items()}
        self._queue: Final = queue

    def begins(self, work: Delivery[Any] | Batch[Any]) -> Ending:
        """Log it."""
        for delivery, fields in self._fields(work):
            crashes = crashes_of(handout_of(delivery).entry)
            log.debug("a delivery starts", **fields, **({"crashes": crashes} if crashes else {}))
        return partial(self._ends, work)

    def _ends(self, work: Delivery[Any] | Batch[Any], seconds: float, error: BaseException | None) -> None:
        """Log it; what becomes of the message stands in other lines, where it is not acknowledged."""
        how = "returned" if error is None else "cancelled" if isinstance(error, asyncio.CancelledError) else "raised"
        for _, fields in self._fields(work):
            log.debug("a delivery ends", **fields, seconds=round(seconds, 6), outcome=how)

    def _fields(self, work: Delivery[Any] | Batch[Any]) -> Iterator[tuple[Delivery[Any], dict[str, object]]]:
        for delivery in [work] if isinstance(work, Delivery) else work:
            yield delivery, fields_of(delivery, self._names[type(delivery.item)], self._queue)
