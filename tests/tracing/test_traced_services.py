"""The consumer service is traced where the application sets a provider, in handlers.py; its processes too."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.concurrency import Queue, Session
from shared.message import Message
from tests.instruments.handlers import order
from tests.instruments.services import consuming
from tests.instruments.tracing import context_of, tracing_here

PROVIDER = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

provider = TracerProvider(shutdown_on_exit=False)
kept = open({file!r}, "a")
exporter = ConsoleSpanExporter(out=kept, formatter=lambda span: span.to_json(indent=None) + "\\n")
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
"""

OUTCOMES = """
@handles(Errand, attempts=2, backoff=Backoff(first=0, longest=0))
async def handle(delivery, pipeline):
    match delivery.item.text:
        case "fails":
            raise LookupError("nothing there")
        case "rejected":
            raise Reject("not ours")
        case "waits" if delivery.attempt == 1:
            raise Retry(after=0.001, counts=False)
"""

ELSEWHERE = """
@handles({})
def handle({}):
    with trace.get_tracer("mine").start_as_current_span("inside"):
        pass
"""

TOGETHER = """
@handles(Errand, batch=Gather(most=2, within=5))
async def handle(batch, pipeline):
    pass
"""


@pytest.fixture
async def queue(session: Session, name: str) -> Queue[Message]:
    """The queue of the service."""
    return Queue(session, name, Message)


async def spans(
    copy: Path, folder: Path, handlers: str, url: str, queue: Queue[Message], *texts: str
) -> list[dict[str, Any]]:
    """Have a service handle messages; its spans, in the order in which they ended."""
    file = folder / "spans"
    with consuming(copy, PROVIDER.format(file=str(file)) + handlers, url, queue.name) as service:
        await queue.put_many([order(text) for text in texts])
        await queue.join()
        service.terminate()
        service.communicate(timeout=20)
    return [json.loads(line) for line in file.read_text().splitlines()]


def about(span: dict[str, Any], *words: str) -> tuple[Any, ...]:
    return tuple(span["attributes"].get(word) for word in words)


async def test_each_attempt_says_what_the_rules_make_of_it(
    copy: Path, tmp_path: Path, url: str, name: str, queue: Queue[Message]
) -> None:
    found = await spans(copy, tmp_path, OUTCOMES, url, queue, "works", "fails", "rejected", "waits")
    assert {span["name"] for span in found} == {f"process {name}"}
    assert {about(span, "weir.handler", "weir.message.type") for span in found} == {
        ("consumer.handlers:handle", "Errand")
    }
    said = sorted(
        ((*about(span, "weir.outcome", "weir.reason"), span["status"]["status_code"]) for span in found), key=str
    )
    assert said == sorted([
        ("ack", None, "UNSET"), ("nack", None, "ERROR"), ("dead_letter", "failed", "ERROR"),
        ("dead_letter", "not ours", "ERROR"), ("nack", None, "UNSET"), ("ack", None, "UNSET"),
    ], key=str)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", [('Errand, executor="process"', "delivery"), ("Errand", "delivery, pipeline")], ids=["process", "thread"]
)
async def test_what_a_handler_does_elsewhere_stands_below_the_delivery(
    copy: Path, tmp_path: Path, url: str, queue: Queue[Message], where: tuple[str, str]
) -> None:
    inside, process = await spans(copy, tmp_path, ELSEWHERE.format(*where), url, queue, "works")
    assert (inside["name"], process["name"]) == ("inside", f"process {queue.name}")
    assert inside["parent_id"] == process["context"]["span_id"]
    assert inside["context"]["trace_id"] == process["context"]["trace_id"]


async def test_a_batch_is_one_span_with_a_link_to_each_put(
    copy: Path, tmp_path: Path, url: str, name: str, session: Session
) -> None:
    with tracing_here() as exporter:
        # A name of its own until here: what a queue was opened with, it keeps.
        queue = Queue(session, name, Message)
        for text in ("one", "two"):
            await queue.put(order(text))
        (batch,) = await spans(copy, tmp_path, TOGETHER, url, queue)
    puts = [f"0x{context_of(put).span_id:016x}" for put in exporter.get_finished_spans()]
    assert [link["context"]["span_id"] for link in batch["links"]] == puts
    assert about(batch, "messaging.batch.message_count", "weir.outcome") == (2, "ack")
