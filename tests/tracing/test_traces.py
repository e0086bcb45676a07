"""A message is followed through its queues by the traces of OpenTelemetry, with the exporter that keeps them."""

import asyncio
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from redis.asyncio import Redis

from shared.concurrency import MessageCancelled, Queue, QueueFull, Session
from tests.instruments.command_line import environment
from tests.instruments.lines import ROOT
from tests.instruments.tracing import about, context_of, identity, linked, tracing_here
from tests.tracing.stored import stored

OPERATION = ("messaging.operation.name", "messaging.operation.type")
OUTCOME = ("weir.message.attempt", "weir.outcome")


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """What is traced while the test runs."""
    with tracing_here() as exporter:
        yield exporter


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    """The spans of this name, in the order in which they began."""
    found = [span for span in exporter.get_finished_spans() if span.name == name]
    return sorted(found, key=lambda span: span.start_time or 0)


async def pass_on(queue: Queue[str], into: Queue[str] | None) -> None:
    """Handle one message: fail with what it says, or put it into the next queue."""
    delivery = await queue.get()
    async with delivery as text:
        if text.startswith("fails") and (into is None or delivery.attempt == 1):
            raise LookupError(text)
        if into is not None:
            delivery.effects.put(into, text)


async def test_a_message_is_followed_through_three_stages_a_retry_and_a_dead_letter(
    exporter: InMemorySpanExporter, session: Session, name: str
) -> None:
    one, two, three = (Queue(session, f"{name}-{stage}", str, max_attempts=2) for stage in (1, 2, 3))
    with trace.get_tracer("test").start_as_current_span("request"):
        await one.put("fails", id="order-7")
    for queue, into in ((one, two), (two, three), (three, None)):
        for _ in range(2):
            await asyncio.gather(pass_on(queue, into), return_exceptions=True)

    (request,) = named(exporter, "request")
    (put,) = named(exporter, f"put {name}-1")
    assert put.kind is SpanKind.PRODUCER
    assert put.parent == request.context
    assert put.attributes == {
        "messaging.system": "weir",
        "messaging.operation.name": "put",
        "messaging.operation.type": "send",
        "messaging.destination.name": f"{name}-1",
        "messaging.message.id": "order-7",
        "messaging.client.id": about(put, "messaging.client.id")[0],
    }
    sent, outcomes = put, []
    for stage in (1, 2, 3):
        attempts = named(exporter, f"process {name}-{stage}")
        # Both attempts are of the message that was put: each has its own trace, and a link to that.
        assert [linked(span) for span in attempts] == [[identity(context_of(sent))]] * 2
        assert all(span.kind is SpanKind.CONSUMER and span.parent is None for span in attempts)
        assert {about(span, *OPERATION) for span in attempts} == {("process", "process")}
        outcomes.append([about(span, *OUTCOME) for span in attempts])
        assert attempts[0].status.status_code is StatusCode.ERROR
        assert about(attempts[0], "error.type") == ("LookupError",)
        if stage < 3:
            (sent,) = named(exporter, f"forward {name}-{stage + 1}")
            assert sent.parent == attempts[1].context
            assert about(sent, *OPERATION) == ("forward", "create")
    assert outcomes == [[(1, "nack"), (2, "ack")], [(1, "nack"), (2, "ack")], [(1, "nack"), (2, "dead_letter")]]
    assert (await three.statistics()).dead == 1


async def test_put_many_and_get_many_are_a_span_for_each_portion(
    exporter: InMemorySpanExporter, session: Session, name: str
) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(3))
    async with await queue.get_many(3, within=1) as batch:
        assert batch.items == [0, 1, 2]
    (put,), (process,) = named(exporter, f"put {name}"), named(exporter, f"process {name}")
    about_it = ("messaging.batch.message_count", "messaging.message.id")
    assert about(put, *about_it) == about(process, *about_it) == (3, None)
    assert linked(process) == [identity(context_of(put))] * 3


async def test_a_submission_is_followed_too(exporter: InMemorySpanExporter, session: Session, name: str) -> None:
    queue = Queue(session, name, int, result=int)
    future = await queue.submit(7)
    delivery = await queue.get()
    async with delivery as number:
        await delivery.ack(number + 1)
    assert await future == 8
    (submit,), (process,) = named(exporter, f"submit {name}"), named(exporter, f"process {name}")
    assert about(submit, *OPERATION) == ("submit", "send")
    assert linked(process) == [identity(context_of(submit))]
    assert about(process, "weir.outcome") == (None,)  # it was settled inside


async def test_the_span_of_a_put_that_is_refused_says_so(
    exporter: InMemorySpanExporter, session: Session, name: str
) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(1)
    with pytest.raises(QueueFull):
        await queue.put_nowait(2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await queue.put(3)
    _, full, cancelled = named(exporter, f"put {name}")
    assert about(full, "error.type") == ("QueueFull",)
    assert about(cancelled, "error.type") == ("CancelledError",)
    assert await queue.qsize() == 1


async def test_what_a_body_does_stands_below_it_and_baggage_goes_along(
    exporter: InMemorySpanExporter, session: Session, name: str
) -> None:
    queue = Queue(session, name, int)
    token = context.attach(baggage.set_baggage("tenant", "ä, b"))
    await queue.put(1)
    context.detach(token)
    async with await queue.get():
        assert baggage.get_baggage("tenant") == "ä, b"
        with trace.get_tracer("test").start_as_current_span("inside"):
            pass
    assert baggage.get_baggage("tenant") is None
    assert not trace.get_current_span().get_span_context().is_valid
    (process,), (inside,) = named(exporter, f"process {name}"), named(exporter, "inside")
    assert inside.parent == process.context


async def test_a_cancelled_message_ends_its_span(
    exporter: InMemorySpanExporter, session: Session, other: Session, name: str
) -> None:
    queue = Queue(session, name, int)
    await queue.put(1, id="one")
    with pytest.raises(MessageCancelled):
        async with await queue.get():
            await Queue(other, name, int).cancel("one")
            await asyncio.Event().wait()
    (process,) = named(exporter, f"process {name}")
    assert about(process, "error.type", "weir.outcome") == ("MessageCancelled", None)


async def test_a_put_that_is_repeated_under_its_id_is_the_same_message_whatever_traces_it(
    exporter: InMemorySpanExporter, session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int)
    assert await queue.put(1, id="one")
    assert not await queue.put(1, id="one")
    first, second = named(exporter, f"put {name}")
    assert context_of(first).trace_id != context_of(second).trace_id
    entry = await stored(client, name)
    assert f"{context_of(first).trace_id:032x}".encode() in entry
    assert b'"id":"one"' in entry


async def test_nobody_traces_what_was_opened_without_a_provider(session: Session, client: Redis, name: str) -> None:
    for provider in (None, trace.NoOpTracerProvider()):
        queue = Queue(session, f"{name}-{provider is None}", int)
        if provider is not None:
            with tracing_here(provider):
                queue = Queue(session, f"{name}-off", int)
        await queue.put(1)
        assert b"traceparent" not in await stored(client, queue.name)


class Broken(SpanProcessor):
    """Other people's code, with a fault in it."""

    def __init__(self, *, begins: bool) -> None:
        self._begins = begins

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:  # noqa: ARG002
        if not self._begins:
            raise OSError("the disk is full")

    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002
        raise OSError("the disk is full")


@pytest.mark.parametrize("begins", [True, False], ids=["at the end", "at the begin"])
async def test_a_tracer_that_raises_stops_no_message(
    session: Session, name: str, caplog: pytest.LogCaptureFixture, *, begins: bool
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Broken(begins=begins))
    with tracing_here(provider):
        queue = Queue(session, name, int)
        await queue.put_many(range(3))
        async with await queue.get() as number:
            assert number == 0
        with pytest.raises(LookupError):
            async with await queue.get():
                raise LookupError
        async with await queue.get_many(2, within=1) as batch:
            assert sorted(batch.items) == [1, 2]
        assert (await queue.statistics()).acked_total == 3
    assert len([1 for record in caplog.records if "a span cannot be begun" in str(record.msg)]) == (0 if begins else 2)


WITHOUT = """
import asyncio, os, sys
if "absent" in sys.argv:
    sys.modules["opentelemetry"] = None
    os.environ["OTEL_PYTHON_TRACER_PROVIDER"] = "sdk_tracer_provider"
from shared.concurrency import Queue, Session
async def main():
    async with Session.open(sys.argv[1]) as session:
        queue = Queue(session, sys.argv[2], int)
        await queue.put(1)
        async with await queue.get():
            pass
asyncio.run(main())
print([word for word, module in sys.modules.items() if word.startswith("opentelemetry") and module is not None])
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["unused", "absent"])
def test_where_nobody_traces_the_library_is_neither_needed_nor_imported(url: str, name: str, how: str) -> None:
    command = [sys.executable, "-c", WITHOUT, url, name, how]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=40)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_base_installation_has_no_tracing_library() -> None:
    assert "opentelemetry" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not [each for each in project["dependencies"] if "opentelemetry" in each]
    assert [each.partition(">")[0] for each in project["optional-dependencies"]["otel"]] == ["opentelemetry-api"]
