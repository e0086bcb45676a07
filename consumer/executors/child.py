"""The process that handlers with `executor="process"` run in: receives a message, calls its handler, answers.

consumer.executors.processes starts it as `python -m consumer.executors PARENT MODULE...`. Its stdin and stdout
are the pipes; what a handler prints goes to stderr. Requests and answers are JSON and stored messages: nothing is
pickled.
"""

import json
import os
import pkgutil
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, BinaryIO, Final

from consumer.executors import frames
from consumer.executors.detached import Detached
from consumer.outcomes import Reject, Retry
from consumer.rules.errors import describe
from consumer.rules.handler import call_plain
from shared.concurrency import InvalidResult
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.effects.effects import writes_of
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.entry import LARGEST_MESSAGE
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.local.forked import Forks, Handler
from shared.local.parent_death import end_with
from shared.logs import configure_logs
from shared.message import Message
from shared.settings import Settings
from shared.signals import pass_over

_LONGEST_TEXT: Final = 20_000


def serve(parent: int, modules: list[str], before: Mapping[signal.Signals, Handler]) -> None:
    """Answer requests until the service ends or closes the pipe; `before`: as Forks has it, what signals did."""
    end_with(parent)
    Forks(pass_over, before)
    requests, answers = _take_pipes()
    calls: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
    threading.Thread(target=_receive, args=(requests, calls), daemon=True).start()
    configure_logs(Settings.load())
    for module in modules:
        pkgutil.resolve_name(module)
    codec: Codec[Message] = Codec(Message, LARGEST_MESSAGE)
    results = ResultCodec(None, LARGEST_MESSAGE)
    _send(answers, {"outcome": "ready"})
    while True:
        name, entry = calls.get()
        _send(answers, {"outcome": "started"})
        _send(answers, _handle(codec, results, name, entry))


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep stdin and stdout for ourselves: a handler reads nothing, and its prints go to stderr."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _receive(requests: BinaryIO, calls: "SimpleQueue[tuple[str, bytes]]") -> None:
    try:
        while True:
            name, entry = frames.read(requests), frames.read(requests)
            calls.put((name.decode(), entry))
    except (EOFError, OSError):
        os._exit(1)  # the service has ended: nothing waits for the answer


def _send(answers: BinaryIO, answer: dict[str, Any]) -> None:
    left = memoryview(frames.pack(json.dumps(answer).encode()))
    while left:
        left = left[answers.write(left) :]


def _handle(codec: "Codec[Message]", results: ResultCodec, name: str, entry: bytes) -> dict[str, Any]:
    """Call a handler. The answer holds the outcome, with the result as JSON if a submitter waits for it."""
    try:
        function: Callable[..., Any] = pkgutil.resolve_name(name)
        handout = Handout(Detached(), entry, codec.open(entry), results)
        returned = call_plain(function, handout)
        answer: dict[str, Any] = {"outcome": "returned"}
        answer["effects"] = writes_of(handout.collected).to_json() if handout.collected else []
        if handout.answers is not None:
            try:
                answer["result"] = results.write(handout.item, returned).decode()
            except InvalidResult as error:
                return _failed("unsendable", error)
    except Retry as retry:
        rule = {"counts": retry.counts, "within": retry.within}
        return {"outcome": "retry", "after": retry.after, "reason": retry.reason, "error": _cause(retry), **rule}
    except Reject as reject:
        return {"outcome": "reject", "reason": reject.reason, "error": _cause(reject)}
    except BaseException as error:  # noqa: BLE001  # SystemExit too: the handler raised it, not we
        return _failed("raised", error)
    return answer


def _failed(outcome: str, error: BaseException) -> dict[str, Any]:
    trace = "".join(traceback.format_exception(error))
    return {"outcome": outcome, "error": describe(error)[:_LONGEST_TEXT], "traceback": trace[-_LONGEST_TEXT:]}


def _cause(error: Exception) -> str:
    return "" if error.__cause__ is None else describe(error.__cause__)[:_LONGEST_TEXT]
