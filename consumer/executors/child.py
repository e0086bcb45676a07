"""The process that handlers with `executor="process"` run in: receives a message, calls its handler, answers.

consumer.executors.processes starts it as `python -m consumer.executors PARENT MODULE...`. Its stdin and stdout
are the pipes; what a handler prints goes to stderr. Requests and answers are JSON and stored messages: nothing is
pickled.
"""

import io
import json
import os
import pkgutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue
from typing import Any, BinaryIO, Final

from consumer.executors import frames
from consumer.executors.log_fields import fields_of
from consumer.executors.onward import NamedPuts, Reporting
from consumer.outcomes import Reject, Retry
from consumer.rules.errors import describe
from consumer.rules.handler import call_plain, results_of
from shared.concurrency import EffectRefused, InvalidResult
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.deliveries.held_batch import HeldBatch
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.entry import LARGEST_MESSAGE
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.concurrency.session.tracer import tracing
from shared.local.forked import Forks, Handler
from shared.local.parent_death import end_with
from shared.log_context import described_by, in_hand
from shared.logs import configure_logs
from shared.message import Message
from shared.settings import Settings
from shared.signals import pass_over

_LONGEST_TEXT: Final = 20_000

_Request = tuple[str, str, bool, dict[str, str], list[bytes]]
"""The names of the handler and of the queue, whether it takes a batch, the trace that it belongs to, and the stored
messages."""
_Make = Callable[[bytes], Handout[Message]]
"""Makes the delivery of a stored message."""


def serve(parent: int, modules: list[str], before: Mapping[signal.Signals, Handler]) -> None:
    """Answer requests until the service ends or closes the pipe; `before`: as Forks has it, what signals did."""
    end_with(parent)
    Forks(pass_over, before)
    requests, answers = _take_pipes()
    calls: SimpleQueue[_Request] = SimpleQueue()
    threading.Thread(target=_receive, args=(requests, calls), daemon=True).start()
    settings = Settings.load()
    configure_logs(settings)
    for module in modules:
        pkgutil.resolve_name(module)
    codec: Codec[Message] = Codec(Message, LARGEST_MESSAGE)
    puts: Codec[Message] = Codec(Message, settings.max_message_bytes)
    results, traced = ResultCodec(None, LARGEST_MESSAGE), tracing()
    send = partial(_send, answers)
    make = partial(_handout, Reporting(send), codec, puts, results)
    send({"outcome": "ready"})
    while True:
        name, queue, takes_batch, context, entries = calls.get()
        send({"outcome": "started"})
        if traced is not None:
            traced.continues(context)
        described_by.set(partial(fields_of, handler=name, queue=queue))
        call = _handle_batch if takes_batch else _handle
        send(call(make, results, name, entries))
        in_hand.set(None)


def _handout(
    reporting: Reporting, codec: Codec[Message], puts: Codec[Message], results: ResultCodec, entry: bytes
) -> Handout[Message]:
    handout = Handout(reporting, entry, codec.open(entry), results)
    handout.collected = NamedPuts(puts)
    return handout


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep stdin and stdout for ourselves: a handler reads nothing, and its prints go to stderr."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    # Else it is kept until there is a block of it: it was opened for a pipe.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    return requests, answers


def _receive(requests: BinaryIO, calls: "SimpleQueue[_Request]") -> None:
    try:
        while True:
            request = json.loads(frames.read(requests))
            entries = [frames.read(requests) for _ in range(request.get("batch", 1))]
            names = request["handler"], request["queue"]
            calls.put((*names, "batch" in request, request.get("trace", {}), entries))
    except (EOFError, OSError):
        os._exit(1)  # the service has ended: nothing waits for the answer


def _send(answers: BinaryIO, answer: dict[str, Any]) -> None:
    left = memoryview(frames.pack(json.dumps(answer).encode()))
    while left:
        left = left[answers.write(left) :]


def _handle(make: _Make, results: ResultCodec, name: str, entries: list[bytes]) -> dict[str, Any]:
    """Call a handler. The answer holds the outcome, with the result as JSON if a submitter waits for it."""
    try:
        function: Callable[..., Any] = pkgutil.resolve_name(name)
        (entry,) = entries
        handout = make(entry)
        in_hand.set(handout)
        return _returned(results, handout, call_plain(function, handout))
    except BaseException as error:  # noqa: BLE001  # SystemExit too: the handler raised it, not we
        return _raised(error)


def _handle_batch(make: _Make, results: ResultCodec, name: str, entries: list[bytes]) -> dict[str, Any]:
    """Call a handler with a batch. The answer holds its outcome, and one for each delivery that has one of its own."""
    answer: dict[str, Any] = {"outcome": "returned"}
    try:
        function: Callable[..., Any] = pkgutil.resolve_name(name)
        batch = HeldBatch([make(entry) for entry in entries])
    except BaseException as error:  # noqa: BLE001  # importing may raise anything
        return _raised(error)
    in_hand.set(batch)
    try:
        returned = results_of(call_plain(function, batch), len(batch))
        answer["deliveries"] = [
            _returned(results, handout, None if returned is None else returned[at])
            for at, handout in enumerate(batch.handouts)
        ]
    except BaseException as error:  # noqa: BLE001  # as above
        answer = {**_raised(error), "deliveries": [{"outcome": "returned"} for _ in entries]}
    for at, handout in enumerate(batch.handouts):
        if (own := batch.error_of(handout)) is not None:
            answer["deliveries"][at] = _raised(own)
    return answer


def _returned(results: ResultCodec, handout: "Handout[Message]", returned: object) -> dict[str, Any]:
    """What a handler that has returned leaves of one delivery."""
    answer: dict[str, Any] = {"outcome": "returned"}
    try:
        if isinstance(handout.collected, NamedPuts) and handout.collected:
            answer |= handout.collected.to_json()
        if handout.answers is not None:
            answer["result"] = results.write(handout.item, returned).decode()
    except EffectRefused as error:
        return _failed("raised", error)
    except InvalidResult as error:
        return _failed("unsendable", error)
    return answer


def _raised(error: BaseException) -> dict[str, Any]:
    """The outcome of a handler that raised, or had a delivery fail."""
    if isinstance(error, Retry):
        rule = {"counts": error.counts, "within": error.within, "hold_key": error.hold_key}
        return {"outcome": "retry", "after": error.after, "reason": error.reason, "error": _cause(error), **rule}
    if isinstance(error, Reject):
        return {"outcome": "reject", "reason": error.reason, "error": _cause(error)}
    return _failed("raised", error)


def _failed(outcome: str, error: BaseException) -> dict[str, Any]:
    trace = "".join(traceback.format_exception(error))
    return {"outcome": outcome, "error": describe(error)[:_LONGEST_TEXT], "traceback": trace[-_LONGEST_TEXT:]}


def _cause(error: Exception) -> str:
    return "" if error.__cause__ is None else describe(error.__cause__)[:_LONGEST_TEXT]
