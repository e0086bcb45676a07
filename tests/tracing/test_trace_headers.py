"""What a trace takes of the 999 bytes of headers: it yields to what the message needs, and to its errors."""

import json
from typing import Any

import pytest
from opentelemetry import baggage, context
from pydantic import create_model
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.concurrency.queues.encoding.entry import KEY, LONGEST_HEADERS, pack_middle, read, with_flow
from shared.concurrency.queues.encoding.form import EntryForm
from shared.concurrency.queues.encoding.trace_headers import pack_trace, trace_of, with_trace
from tests.instruments.tracing import tracing_here
from tests.tracing.stored import stored

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATE = ",".join(f"vendor{number}={'x' * 50}" for number in range(8))
BAGGAGE = ",".join(f"word{number}={'y' * 40}" for number in range(12))
LONG = {"traceparent": PARENT, "tracestate": STATE, "baggage": BAGGAGE}
WITHOUT_NAME = len('{"type":""}')
OF_PARENT = len(f',"traceparent":"{PARENT}"')


def entry(headers: bytes, body: bytes = b"[1]") -> bytes:
    """An outgoing entry."""
    return b"o" * 12 + b"%010d" % 1 + pack_middle(headers, has_id=False) + body


def headers_of(outgoing: bytes) -> dict[str, Any]:
    """The headers of an outgoing entry."""
    return read(b"0" * 16 + outgoing).headers


def test_lists_are_cut_to_whole_members_of_200_bytes() -> None:
    found = trace_of(read(b"0" * 16 + with_trace(entry(b""), pack_trace(LONG), at=KEY)))
    assert found["traceparent"] == PARENT
    for word, full in (("tracestate", STATE), ("baggage", BAGGAGE)):
        assert full.startswith(found[word] + ",")
        assert 150 < len(found[word]) <= 200


def test_a_member_that_is_too_long_alone_is_left_out() -> None:
    assert pack_trace({"traceparent": PARENT, "baggage": "a=" + "é" * 100}) == pack_trace({"traceparent": PARENT})
    assert pack_trace({"baggage": "a=1"}) == []  # without a trace there is nothing to go with


@pytest.mark.parametrize("headers", [b"", b'{"type":"M"}', b'{"flow":"1  k  ","type":"M"}'])
def test_the_body_and_the_other_headers_stay_as_they_are(headers: bytes) -> None:
    plain = entry(headers)
    traced = with_trace(plain, pack_trace({"traceparent": PARENT, "tracestate": 'a="id":"1"\\'}), at=KEY)
    before = json.loads(headers or b"{}")
    assert headers_of(traced) == before | {"traceparent": PARENT, "tracestate": 'a="id":"1"\\'}
    assert list(headers_of(traced))[: len(before)] == list(before)  # flow stays the first
    assert read(b"0" * 16 + traced).body == b"[1]"
    assert b'"id":"' not in traced  # what scripts look for


@pytest.mark.parametrize("packed", [b"", b'{"type":"M"}'])
@pytest.mark.parametrize("flow", ["", "1  k  "])
def test_where_the_body_begins_is_found_at_one_look(packed: bytes, flow: str) -> None:
    form, headers = EntryForm(packed), with_flow(packed, flow)
    for carried in ({"traceparent": PARENT}, LONG):
        traced = b"0" * 16 + with_trace(entry(headers), pack_trace(carried), at=KEY)
        assert form.longer_body_at(traced) == len(traced) - len(b"[1]")
        # What is not of this class, or not as long as it says, is none of them.
        assert EntryForm(b'{"type":"Other"}').longer_body_at(traced) == 0
        assert form.longer_body_at(traced.replace(b'"}', b'" }')) == 0
    plain = b"0" * 16 + entry(headers)
    assert (form.longer_body_at(plain) > 0) == bool(flow or packed)


@pytest.mark.parametrize(
    "length,words",
    [
        (LONGEST_HEADERS - OF_PARENT + 1, set[str]()),
        (LONGEST_HEADERS - OF_PARENT, {"traceparent"}),
        (LONGEST_HEADERS - OF_PARENT - 300, {"traceparent"}),
        (LONGEST_HEADERS - OF_PARENT - 300 - 215, {"traceparent", "tracestate"}),
        (100, {"traceparent", "tracestate", "baggage"}),
    ],
)
def test_where_room_is_short_the_trace_yields(length: int, words: set[str]) -> None:
    headers = b'{"type":"%b"}' % (b"M" * (length - WITHOUT_NAME))
    traced = with_trace(entry(headers), pack_trace(LONG), at=KEY)
    assert set(headers_of(traced)) == {"type"} | words


async def test_a_message_whose_headers_are_full_is_put_all_the_same(session: Session, client: Redis, name: str) -> None:
    message: Any = create_model("M" * (LONGEST_HEADERS - WITHOUT_NAME), a=(int, ...))
    with tracing_here():
        queue: Queue[Any] = Queue(session, name, message)
        await queue.put(message(a=1))
        assert trace_of(read(await stored(client, name))) == {}
        async with await queue.get() as item:
            assert item == message(a=1)


async def test_the_errors_of_a_message_have_room_beside_its_trace(session: Session, name: str) -> None:
    with tracing_here():
        queue: Queue[int] = Queue(session, name, int)
        token = context.attach(context.Context())
        for number in range(12):
            context.attach(baggage.set_baggage(f"word{number}", "y" * 40))
        await queue.put(1, id="x" * 128)
        context.detach(token)
        for what in ("first", "second"):
            with pytest.raises(LookupError):
                async with await queue.get():
                    raise LookupError(f"{what} {'z' * 90}")
        delivery = await queue.get()
        assert delivery.first_error == f"LookupError: first {'z' * 90}"
        assert delivery.last_error == f"LookupError: second {'z' * 90}"
        await delivery.ack()
