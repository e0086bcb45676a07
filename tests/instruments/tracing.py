"""Traces of this process, kept in memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@contextmanager
def tracing_here(provider: trace.TracerProvider | None = None) -> Iterator[InMemorySpanExporter]:
    """Set a tracer provider in this process, for a block; what is opened in it is traced."""
    exporter = InMemorySpanExporter()
    sdk = TracerProvider(shutdown_on_exit=False)
    sdk.add_span_processor(SimpleSpanProcessor(exporter))
    with pytest.MonkeyPatch.context() as patch:
        # The API takes one provider for the life of a process, and tests share theirs.
        patch.setattr(trace, "_TRACER_PROVIDER", provider or sdk)
        yield exporter


def about(span: ReadableSpan, *words: str) -> tuple[Any, ...]:
    """What a span says of itself: these attributes, None where it does not have one."""
    found: Mapping[str, Any] = span.attributes or {}
    return tuple(found.get(word) for word in words)


def context_of(span: ReadableSpan) -> trace.SpanContext:
    """What names it."""
    assert span.context is not None
    context: trace.SpanContext = span.context
    return context


def linked(span: ReadableSpan) -> list[tuple[int, int]]:
    """The traces and spans that it has links to."""
    return [identity(link.context) for link in span.links]


def identity(context: trace.SpanContext) -> tuple[int, int]:
    """What is the same on both sides of a message."""
    return context.trace_id, context.span_id
