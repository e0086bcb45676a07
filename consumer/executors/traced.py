"""TracedDeliveries: a span around each call of a handler, with a link to the span that put the message."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from consumer.executors.observed import Ending
from consumer.outcomes import Reject, Retry
from consumer.rules.handler import Handler
from shared.concurrency import Batch, Delivery
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.concurrency.queues.service import ProcessSpans
from shared.concurrency.session.tracing import Span
from shared.message import Message


class TracedDeliveries:
    """Traces what a service handles; a batch is one span."""

    def __init__(self, handlers: Mapping[type[Message], Handler], spans: ProcessSpans) -> None:
        """`spans`: those of this process at the queue."""
        self._handlers: Final = handlers
        self._spans: Final = spans

    def begins(self, work: Delivery[Any] | Batch[Any]) -> Ending:
        """Begin the span; what the handler does stands below it."""
        deliveries = [work] if isinstance(work, Delivery) else list(work)
        handler = self._handlers[type(deliveries[0].item)]
        span = self._spans.begins(deliveries, {"weir.handler": handler.name})
        return partial(self._ends, span, deliveries, handler.rules.attempts)

    def _ends(
        self,
        span: Span,
        deliveries: list[Delivery[Any]],
        attempts: int | None,
        _seconds: float,
        error: BaseException | None,
    ) -> None:
        """End the span. What is said of the outcome is what the rules make of it; the server may still refuse it."""
        if all(handout_of(each).state == "held" for each in deliveries):
            is_last = all(self._spans.is_last(each, attempts) for each in deliveries)
            span.note(_outcome(error, is_last=is_last))
        span.end(None if isinstance(error, Retry) and not error.counts else error)


def _outcome(error: BaseException | None, *, is_last: bool) -> dict[str, str]:
    if error is None:
        return {"weir.outcome": "ack"}
    if isinstance(error, asyncio.CancelledError):
        return {}  # its time was over, or the service drains: the span cannot know
    if isinstance(error, Reject):
        return {"weir.outcome": "dead_letter", "weir.reason": error.reason}
    if is_last and (not isinstance(error, Retry) or error.counts):
        return {"weir.outcome": "dead_letter", "weir.reason": "failed"}
    return {"weir.outcome": "nack"}
