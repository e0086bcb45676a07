"""PutSpans: the spans of puts, and the context that their entries take along."""

import asyncio
from functools import partial
from typing import Final

from shared.concurrency.queues.encoding.entry import ASKED, FLAG, KEY, read
from shared.concurrency.queues.encoding.trace_headers import pack_trace, with_trace
from shared.concurrency.queues.membership.spans import QueueSpans
from shared.concurrency.queues.puts.batch import Batch
from shared.concurrency.session.tracing import Span

_NO_STAMP: Final = b"0" * 16


class PutSpans:
    """One span for each batch: a put, or a portion of put_many; from the call until the queue has taken it."""

    def __init__(self, spans: QueueSpans) -> None:
        """`spans`: those of this process at the queue."""
        self._spans: Final = spans

    def begins(self, batch: Batch) -> None:
        """Begin the span of a batch that is not sent yet: its entries take the context along."""
        entries = batch.entries
        first = _NO_STAMP + entries[0].packed
        more: dict[str, str | int] = {"messaging.batch.message_count": len(entries)}
        if len(entries) == 1:
            more = {"messaging.message.id": read(first).id}
        span = self._spans.sends("submit" if first[FLAG] >= ASKED else "put", more)
        trace = pack_trace(span.context)
        for entry in entries:
            entry.packed = with_trace(entry.packed, trace, at=KEY)
        batch.done.add_done_callback(partial(_ended, span))


def _ended(span: Span, done: "asyncio.Future[None]") -> None:
    span.end(asyncio.CancelledError("the put was cancelled") if done.cancelled() else done.exception())
