"""ProcessSpans: the spans of handling messages, each with a link to the span that put it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from shared.concurrency.queues.deliveries.delivery import Delivery
from shared.concurrency.queues.deliveries.forgettable import Forgettable
from shared.concurrency.queues.deliveries.handout import Handout, handout_of
from shared.concurrency.queues.deliveries.held_batch import HeldBatch
from shared.concurrency.queues.deliveries.settling import Settler
from shared.concurrency.queues.encoding.entry import read
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.concurrency.queues.encoding.trace_headers import trace_of
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.membership.spans import QueueSpans, spans_of
from shared.concurrency.session.tasks import is_cancelled
from shared.concurrency.session.tracing import Span

T = TypeVar("T")


class ProcessSpans:
    """Begins the span of a delivery, or of a batch, and of what is in a body of `async with`."""

    def __init__(self, spans: QueueSpans, settler: Settler) -> None:
        """`settler`: knows which attempt is the last."""
        self._spans: Final = spans
        self._settler: Final = settler

    def begins(self, deliveries: Sequence[Delivery[Any]], more: dict[str, str | int] | None = None) -> Span:
        """Begin the span of what is handled from here on; it is the current one of this task until it ends."""
        # Read once: id, attempt and trace all stand in it.
        stored = [read(handout_of(each).entry) for each in deliveries]
        about: dict[str, str | int] = {"weir.message.type": type(deliveries[0].item).__name__, **(more or {})}
        if len(stored) > 1:
            about["messaging.batch.message_count"] = len(stored)
        else:
            about |= {"messaging.message.id": stored[0].id, "weir.message.attempt": stored[0].attempt}
        return self._spans.processes(about, [trace_of(each) for each in stored])

    def is_last(self, delivery: Delivery[Any], attempts: int | None = None) -> bool:
        """Whether a failure of it makes a dead letter; `attempts`: as Settler.is_last_attempt."""
        return self._settler.is_last_attempt(handout_of(delivery), attempts)

    def handout(self, settler: Settler, entry: bytes, item: T, results: ResultCodec) -> Forgettable[T]:
        """A delivery that is traced; made as any other."""
        handout = TracedHandout(settler, entry, item, results)
        handout.spans = self
        return handout

    def batch(self, handouts: Sequence[Handout[T]]) -> HeldBatch[T]:
        """A batch that is traced; made as any other."""
        batch = TracedBatch(handouts)
        batch.spans = self
        return batch

    @contextmanager
    def ending(self, span: Span, handouts: Sequence[Handout[Any]], error: BaseException | None) -> Iterator[None]:
        """End the span of a body of `async with` once the block has settled what it held."""
        if held := [each for each in handouts if each.state == "held"]:
            span.note({"weir.outcome": self._outcome(held, error)})
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            span.end(error)

    def _outcome(self, handouts: Sequence[Handout[Any]], error: BaseException | None) -> str:
        if error is None:
            return "ack"
        if is_cancelled(None, error):
            return "return"
        return "dead_letter" if all(self.is_last(each) for each in handouts) else "nack"


class TracedHandout(Forgettable[T]):
    """A delivery whose body of `async with` is traced."""

    __slots__ = ("_span", "spans")
    _span: Span
    spans: ProcessSpans

    async def __aenter__(self) -> T:
        item = await super().__aenter__()
        self._span = self.spans.begins([self])
        return item

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.spans.ending(self._span, [self], error):
            await super().__aexit__(kind, error, trace)


class TracedBatch(HeldBatch[T]):
    """A batch whose body of `async with` is traced."""

    __slots__ = ("_span", "spans")
    _span: Span
    spans: ProcessSpans

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._span = self.spans.begins(self.handouts)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.spans.ending(self._span, self.handouts, error):
            await super().__aexit__(kind, error, trace)


def process_spans(member: Membership, settler: Settler) -> ProcessSpans | None:
    """The spans of what this process handles of a queue; None where nobody traces."""
    spans = spans_of(member.name, member.owner)
    return None if spans is None else ProcessSpans(spans, settler)
