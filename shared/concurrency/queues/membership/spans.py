"""QueueSpans: the spans of one process at one queue, by OpenTelemetry's conventions for messaging."""

from collections.abc import Mapping, Sequence
from typing import Final

from shared.concurrency.session.tracer import tracing
from shared.concurrency.session.tracing import Span, Tracing

_KINDS: Final = {"put": "send", "submit": "send", "forward": "create", "process": "process"}
"""Our word for an operation -> its type in the conventions."""


class QueueSpans:
    """Begins spans; where nobody traces there is none of these."""

    def __init__(self, tracing: Tracing, queue: str, owner: str) -> None:
        """`owner`: the twelve letters of this process."""
        self._tracing: Final = tracing
        self._queue: Final = queue
        self._usual: Final = {
            "messaging.system": "weir",
            "messaging.destination.name": queue,
            "messaging.client.id": owner,
        }

    def sends(self, operation: str, more: Mapping[str, str | int]) -> Span:
        """Begin the span of an operation that sends messages: put, submit or forward."""
        return self._tracing.sends(f"{operation} {self._queue}", self._attributes(operation, more))

    def processes(self, more: Mapping[str, str | int], contexts: Sequence[Mapping[str, str]]) -> Span:
        """Begin the span of handling messages, which came with these contexts."""
        return self._tracing.processes(f"process {self._queue}", self._attributes("process", more), contexts)

    def _attributes(self, operation: str, more: Mapping[str, str | int]) -> dict[str, str | int]:
        kind = {"messaging.operation.name": operation, "messaging.operation.type": _KINDS[operation]}
        return self._usual | kind | dict(more)


def spans_of(queue: str, owner: str) -> QueueSpans | None:
    """The spans of a process at a queue; None where nobody traces. Ask once, not for each message."""
    found = tracing()
    return None if found is None else QueueSpans(found, queue, owner)
