"""Dispatch: calls the handlers of a service, each where it runs: on the loop, in a thread or in a process."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Final, Self

from consumer.executors.log_fields import fields_of
from consumer.executors.processes import Processes, cores, error_of
from consumer.executors.threads import Threads
from consumer.hooks import HOOKS, Around, Handling
from consumer.rules.handler import Handler, call_plain
from consumer.rules.rules import LONGEST_LIMIT, Rules
from shared.concurrency import Batch, Delivery
from shared.concurrency.queues.deliveries.handout import Handout, handout_of
from shared.concurrency.queues.deliveries.held_batch import held_batch_of
from shared.concurrency.queues.effects.effects import add_json, forward
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.entry import LARGEST_MESSAGE
from shared.concurrency.queues.encoding.flow import Way
from shared.concurrency.queues.encoding.results import Written
from shared.log_context import described_by, in_hand
from shared.message import Message
from shared.pipeline import Pipeline

_Call = Callable[[Any, Pipeline], Awaitable[object]]


class Dispatch:
    """The handlers, with the threads and processes that they need. Use it as an async context manager."""

    def __init__(self, handlers: Mapping[type[Message], Handler], pipeline: Pipeline) -> None:
        """Prepare; threads and processes are started when they are needed."""
        self._pipeline = pipeline
        self._threads = Threads()
        self._processes = Processes(
            {handler.function.__module__ for handler in handlers.values() if handler.place == "process"},
            pipeline.settings.processes or cores(),
            pipeline.settings.process_idle,
        )
        self._codec: Final[Codec[Message]] = Codec(Message, LARGEST_MESSAGE)
        self._stack = AsyncExitStack()
        self._calls: Final[dict[type[Message], _Call]] = {
            tp: self._wrapped(self._call(each), each.name) for tp, each in handlers.items()
        }
        self.rules: Final[dict[type[Message], Rules]] = {tp: self._rules_of(each) for tp, each in handlers.items()}
        """The rules of each message class, as the worker applies them."""
        self._names: Final = {tp: each.name for tp, each in handlers.items()}

    def handle(self, delivery: Delivery[Message]) -> Awaitable[object]:
        """Call the handler of a delivery; what is returned is to be awaited, and ends as the handler does."""
        # No coroutine of its own around the handler's: each message would pay for it.
        in_hand.set(delivery)
        return self._calls[type(delivery.item)](delivery, self._pipeline)

    def handle_batch(self, batch: Batch[Message]) -> Awaitable[object]:
        """As `handle`, for a batch."""
        in_hand.set(batch)
        return self._calls[type(batch[0].item)](batch, self._pipeline)

    def describe(self, work: Delivery[Message] | Batch[Message], queue: str) -> dict[str, object]:
        """What names it in the log; `queue`: that it was taken from."""
        item = work.item if isinstance(work, Delivery) else work[0].item
        return fields_of(work, self._names[type(item)], queue)

    def _call(self, handler: Handler) -> _Call:
        function = handler.function
        if handler.place == "loop":
            return function if handler.takes_pipeline else lambda work, _: function(work)
        if handler.place == "thread":
            return partial(self._in_thread, handler)
        in_process = self._in_process if handler.rules.batch is None else self._batch_in_process
        return partial(in_process, handler.name, self._limit_of(handler))

    def _wrapped(self, call: _Call, name: str) -> _Call:
        # Where nothing stands around it a message costs nothing more.
        return call if HOOKS.around is None else partial(_around, HOOKS.around, call, name)

    def _limit_of(self, handler: Handler) -> float:
        return handler.rules.time_limit or self._pipeline.settings.handler_timeout

    def _rules_of(self, handler: Handler) -> Rules:
        if handler.place != "process":
            return handler.rules
        # `Processes.call` counts from when the process is ready, and a call may wait for a free one: no limit here.
        return replace(handler.rules, time_limit=LONGEST_LIMIT)

    async def _in_thread(self, handler: Handler, work: object, pipeline: Pipeline) -> object:
        returned: list[object] = []
        called_with = (work, pipeline) if handler.takes_pipeline else (work,)
        await self._threads.run(lambda: returned.append(call_plain(handler.function, *called_with)))
        return returned[0]

    async def _in_process(self, name: str, time_limit: float, delivery: Delivery[Any], pipeline: Pipeline) -> object:
        handout = handout_of(delivery)
        answer = await self._processes.call(
            name, handout.entry, time_limit, queue=_queue_of(delivery), on_report=partial(_report, [handout])
        )
        return self._result_of(delivery, answer, pipeline)

    async def _batch_in_process(self, name: str, time_limit: float, batch: Batch[Any], pipeline: Pipeline) -> object:
        handouts = held_batch_of(batch).handouts
        answer = await self._processes.call_with_batch(
            name,
            [handout.entry for handout in handouts],
            time_limit,
            queue=_queue_of(batch),
            on_report=partial(_report, handouts),
        )
        raised = error_of(answer)
        results: list[object] = []
        for delivery, one in zip(batch, answer.get("deliveries", ()), strict=raised is None):
            if (own := error_of(one)) is not None:
                batch.fail(delivery, own)
                results.append(None)
            elif raised is None:
                results.append(self._result_of(delivery, one, pipeline))
        if raised is not None:
            raise raised
        return results

    def _result_of(self, delivery: Delivery[Any], answer: dict[str, Any], pipeline: Pipeline) -> Written | None:
        """Collect the effects that a child answers with; returns the result, None where nobody asked for it."""
        if answer.get("effects"):
            add_json(delivery.effects, answer["effects"])
        for queue, kind, version, body, asked, once in answer.get("puts", ()):
            message = self._codec.decode(kind, body.encode(), version)
            forward(delivery.effects, pipeline.queues[queue], message, Way(**asked) if asked else None, once)
        return Written(answer["result"].encode()) if "result" in answer else None

    async def __aenter__(self) -> Self:
        # For the tasks that are started inside the block.
        described_by.set(partial(self.describe, queue=self._pipeline.queue.full_name))
        await self._stack.enter_async_context(self._processes)
        self._stack.callback(self._threads.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


async def _around(
    around: Around, call: _Call, name: str, work: Delivery[Any] | Batch[Any], pipeline: Pipeline
) -> object:
    """Call a handler inside what stands around every delivery; what that swallows is a clean return."""
    handling = Handling(name, [work] if isinstance(work, Delivery) else list(work))
    returned = None
    async with around(handling, pipeline):
        returned = await call(work, pipeline)
        handling.result = _read(returned)
    return returned


def _read(returned: object) -> object:
    """A result as the handler returned it; one that a process has written is read."""
    if isinstance(returned, list):
        return [_read(each) for each in returned]
    return json.loads(returned) if isinstance(returned, Written) else returned


def _queue_of(work: Delivery[Any] | Batch[Any]) -> str:
    """The queue that it was taken from, as the log names it."""
    describe = described_by.get()
    return str(describe(work)["queue"]) if describe is not None else ""


def _report(handouts: Sequence[Handout[Any]], receipt: bytes, progress: bytes) -> None:
    """Pass on what a handler in a process reports; of what is not ours any more nobody wants to hear."""
    for handout in handouts:
        if handout.receipt == receipt and handout.state == "held":
            handout.report_written(progress)
