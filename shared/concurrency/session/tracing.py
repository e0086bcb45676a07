"""Tracing: what the engine asks of whoever traces this process.

The engine knows no tracing library: session/open_telemetry.py knows one, where session/tracer.py finds it in use.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

Attributes = Mapping[str, str | int]


class Span(ABC):
    """A span that has begun."""

    @property
    @abstractmethod
    def context(self) -> Mapping[str, str]:
        """What carries its trace to another process: headers of the W3C's trace context, and baggage."""

    @abstractmethod
    def note(self, attributes: Attributes) -> None:
        """Add attributes."""

    @abstractmethod
    def end(self, error: BaseException | None = None) -> None:
        """End it, with the error that it ended by. The second time it does nothing."""


class Tracing(ABC):
    """Whoever traces this process."""

    @abstractmethod
    def sends(self, name: str, attributes: Attributes) -> Span:
        """Begin the span of a message, or of several, on its way out; a child of what runs here."""

    @abstractmethod
    def processes(self, name: str, attributes: Attributes, came_with: Sequence[Mapping[str, str]]) -> Span:
        """Begin the span of messages that are handled here, with a link to each context that one came with.

        It is the current one of this task until it ends; with it goes the baggage of a message that is handled alone.
        """

    @abstractmethod
    def current(self) -> Mapping[str, str]:
        """What carries the current trace to another process, as Span.context."""

    @abstractmethod
    def continues(self, context: Mapping[str, str]) -> None:
        """Have what runs here from now on belong to the trace that another process is in."""
