"""OpenTelemetry, by its API alone: the spans of this process, and how their context travels with messages."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import Token
from typing import Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.concurrency.errors import describe
from shared.concurrency.session.log import Log
from shared.concurrency.session.tracing import Attributes, Span, Tracing

log = Log("session")

_LIBRARY: Final = "weir"
# What is stored is read by other versions and other languages: always these two forms, whatever OTEL_PROPAGATORS says.
_TRACE: Final = TraceContextTextMapPropagator()
_BAGGAGE: Final = W3CBaggagePropagator()


class OpenSpan(Span):
    """A span of OpenTelemetry."""

    def __init__(self, span: trace.Span, context: Context | None = None) -> None:
        """`context`: what becomes the current one, with this span in it; None where it stays as it is."""
        self._span: Final = span
        self._token: Token[Context] | None = None
        if context is not None:
            self._token = contexts.attach(trace.set_span_in_context(span, context))

    @property
    def context(self) -> Mapping[str, str]:
        """As Span.context."""
        return _packed(trace.set_span_in_context(self._span))

    def note(self, attributes: Attributes) -> None:
        """As Span.note."""
        for word, value in attributes.items():
            self._span.set_attribute(word, value)

    def end(self, error: BaseException | None = None) -> None:
        """As Span.end."""
        if self._token is not None:
            contexts.detach(self._token)
            self._token = None
        if not self._span.is_recording():
            return
        if error is not None:
            self._span.set_attribute("error.type", type(error).__qualname__)
            with suppress(Exception):  # an exception of the application may fail to say what it is
                self._span.record_exception(error)
            self._span.set_status(Status(StatusCode.ERROR, describe(error)[:300]))
        with suppress(Exception):  # so may a processor of spans
            self._span.end()


class OpenTelemetry(Tracing):
    """The tracer of this process."""

    def __init__(self, tracer: trace.Tracer) -> None:
        """`tracer`: of the provider that the application has set."""
        self._tracer: Final = tracer
        self._has_failed = False

    def sends(self, name: str, attributes: Attributes) -> Span:
        """As Tracing.sends."""
        return OpenSpan(self._begun(name, SpanKind.PRODUCER, attributes, ()))

    def processes(self, name: str, attributes: Attributes, came_with: Sequence[Mapping[str, str]]) -> Span:
        """As Tracing.processes."""
        found = [trace.get_current_span(_TRACE.extract(each, Context())).get_span_context() for each in came_with]
        links = [Link(each) for each in found if each.is_valid]
        span = self._begun(name, SpanKind.CONSUMER, attributes, links)
        return OpenSpan(span, _with_baggage(came_with[0] if len(came_with) == 1 else {}))

    def _begun(self, name: str, kind: SpanKind, attributes: Attributes, links: Sequence[Link]) -> trace.Span:
        # Samplers and processors are other people's code: what they raise must stop no message.
        try:
            return self._tracer.start_span(name, kind=kind, attributes=attributes, links=links)
        except Exception as error:  # noqa: BLE001  # as above
            if not self._has_failed:
                self._has_failed = True
                log.traceback(error, "a span cannot be begun; the next failure is not logged", span=name)
            return trace.INVALID_SPAN

    def current(self) -> Mapping[str, str]:
        """As Tracing.current."""
        return _packed(contexts.get_current())

    def continues(self, context: Mapping[str, str]) -> None:
        """As Tracing.continues."""
        contexts.attach(_BAGGAGE.extract(context, _TRACE.extract(context, Context())))


def _packed(context: Context) -> dict[str, str]:
    headers: dict[str, str] = {}
    _TRACE.inject(headers, context)
    _BAGGAGE.inject(headers, context)
    return headers


def _with_baggage(headers: Mapping[str, str]) -> Context:
    here = contexts.get_current()
    return _BAGGAGE.extract(headers, here) if "baggage" in headers else here


def open_telemetry() -> Tracing | None:
    """The tracer of the provider that is set; None where none is, or it does nothing."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        return None
    tracer = trace.get_tracer(_LIBRARY)
    return None if isinstance(tracer, trace.NoOpTracer) else OpenTelemetry(tracer)
