"""run_inline: whole chains of handlers without a server, with retries and dead letters as the service has them."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from consumer.executors.dispatch import Dispatch
from consumer.rules.handler import Handler, Place, results_of
from consumer.rules.rules import Rules
from consumer.testing.fakes import FakePipeline, FakeQueue, Put
from consumer.testing.lane import InlineEffects, InlineLane, Settlement, Waiting
from consumer.worker.failures import settle_failed
from shared.concurrency import Effects, RemoteError
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.deliveries.held_batch import HeldBatch
from shared.concurrency.queues.deliveries.settling import Settler
from shared.concurrency.queues.effects.effects import writes_of
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.entry import LARGEST_MESSAGE, read
from shared.concurrency.queues.encoding.flow import way_in
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.message import Message


@dataclass(frozen=True, slots=True)
class Handled:
    """A message that was handled to a clean end."""

    message: Message
    result: object
    attempt: int


@dataclass(frozen=True, slots=True)
class Died:
    """A message that became a dead letter."""

    message: Message
    reason: str
    error: str
    failures: int


@dataclass(slots=True)
class InlineRun:
    """What came of it all."""

    pipeline: FakePipeline
    """What the handlers were called with; its queues hold all puts."""
    handled: list[Handled] = field(default_factory=list)
    """In the order in which they ended."""
    dead: list[Died] = field(default_factory=list)
    effects: list[tuple[Any, ...]] = field(default_factory=list)
    """Of what was handled, as `effects_of` shows them, without the puts."""
    left: list[Message] = field(default_factory=list)
    """Those that no handler is for."""
    seconds: float = 0.0
    """How long the delays would have taken."""


async def run_inline(
    handlers: Mapping[type[Message], Handler], messages: Iterable[Message], *, pipeline: FakePipeline | None = None
) -> InlineRun:
    """Handle messages, and all that their handlers put, submit and forward, until nothing is left.

    `handlers`: as `consumer.registry.handlers()` returns them. One at a time, in order; another only while a handler
    waits for what it submitted. Delays take no time. Handlers with `executor="process"` are called in a thread. What
    nobody could do without a server is left out: crashes, drains, cancelled messages, bounds of queues.
    """
    pipeline = pipeline or FakePipeline.of()
    here = {tp: _here(each) for tp, each in handlers.items()}
    async with Dispatch(here, pipeline) as handling:
        inline = _Inline(handling, here, {tp: each.place for tp, each in handlers.items()}, pipeline)
        for message in messages:
            handler = here.get(type(message))
            await pipeline.queues[handler.queue if handler and handler.queue else pipeline.settings.queue].put(message)
        return await inline.run()


def _here(handler: Handler) -> Handler:
    return replace(handler, place="thread", takes_pipeline=False) if handler.place == "process" else handler


class _Inline:
    def __init__(
        self,
        handling: Dispatch,
        handlers: Mapping[type[Message], Handler],
        places: Mapping[type[Message], Place],
        pipeline: FakePipeline,
    ) -> None:
        """`places`: where each handler runs in the service."""
        self._handling: Final = handling
        self._handlers: Final = handlers
        self._places: Final = places
        self._seen = 0
        self._numbers: Final = itertools.count(1)
        self._ready: Final[deque[Waiting]] = deque()
        self._delayed: Final[list[tuple[float, int, Waiting]]] = []
        self._gathered: Final[dict[type[Message], list[Waiting]]] = {}
        self._keys: Final[dict[tuple[str, str], deque[Waiting]]] = {}
        """Messages behind the first of their key."""
        self._codec: Final[Codec[Message]] = Codec(Message, LARGEST_MESSAGE)
        self._results: Final = ResultCodec(None, pipeline.settings.max_message_bytes)
        self._lane: Final = InlineLane(self._settled, pipeline.settings.max_attempts)
        self._run: Final = InlineRun(pipeline)

    async def run(self) -> InlineRun:
        running: set[asyncio.Task[None]] = set()
        try:
            while self._receive() or running or self._delayed:
                while len(running) < 1 + self._submitted() and (works := self._next(is_idle=not running)):
                    running.add(asyncio.create_task(self._work(works)))
                    self._receive()
                if running:
                    ended, running = await asyncio.wait(running, timeout=0.01, return_when=asyncio.FIRST_COMPLETED)
                    for task in ended:
                        task.result()
                elif not self._ready and self._delayed:
                    self._run.seconds, _, waiting = heapq.heappop(self._delayed)
                    self._ready.append(waiting)
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)
        return self._run

    def _submitted(self) -> int:
        """How many results are waited for."""
        return sum(put.future is not None and not put.future.done() for put in self._run.pipeline.received)

    def _receive(self) -> bool:
        """Take what was put meanwhile; whether anything can be handled."""
        received = self._run.pipeline.received
        while self._seen < len(received):
            put, self._seen = received[self._seen], self._seen + 1
            if type(put.item) not in self._handlers:
                self._run.left.append(put.item)
                continue
            waiting = Waiting.of(put, next(self._numbers), self._codec, self._results, self._lane)
            if put.after:
                heapq.heappush(self._delayed, (self._run.seconds + put.after, waiting.number, waiting))
            else:
                self._enter(waiting)
        return bool(self._ready or any(self._gathered.values()))

    def _enter(self, waiting: Waiting) -> None:
        place = waiting.place
        if place is not None and place in self._keys:
            self._keys[place].append(waiting)
            return
        if place is not None:
            self._keys[place] = deque()
        self._ready.append(waiting)

    def _next(self, *, is_idle: bool) -> list[Waiting]:
        """What is handled next: one message, or a batch; none when there is nothing."""
        while self._ready:
            waiting = self._ready.popleft()
            rules = self._rules_of(waiting)
            if rules.batch is None or self._is_alone(waiting, rules):
                return [waiting]
            gathered = self._gathered.setdefault(type(waiting.item), [])
            gathered.append(waiting)
            if len(gathered) >= rules.batch.most:
                return self._gathered.pop(type(waiting.item))
        if self._gathered and (is_idle or self._submitted()):
            return self._gathered.pop(next(iter(self._gathered)))
        return []

    def _is_alone(self, waiting: Waiting, rules: Rules) -> bool:
        return waiting.handout.failures > 0 and self._lane.is_last_attempt(waiting.handout, rules.attempts)

    def _effects_of(self, waiting: Waiting) -> Effects:
        names_queues = self._places[type(waiting.item)] == "process"
        return InlineEffects(self._run.pipeline) if names_queues else Effects()

    def _rules_of(self, waiting: Waiting) -> Rules:
        return self._handlers[type(waiting.item)].rules

    # --- handling ---------------------------------------------------------------------------------------------------

    async def _work(self, works: Sequence[Waiting]) -> None:
        rules, queue = self._rules_of(works[0]), works[0].queue
        handouts = [waiting.begin(self._effects_of(waiting)) for waiting in works]
        settler, error = cast("Settler", self._lane), None
        batch = HeldBatch(handouts) if rules.batch is not None else None
        limit = rules.time_limit or self._run.pipeline.settings.handler_timeout
        bound = asyncio.timeout(limit)
        try:
            async with bound:
                returned = await (
                    self._handling.handle(handouts[0]) if batch is None else self._handling.handle_batch(batch)
                )
            results = [returned] if batch is None else results_of(returned, len(batch)) or [None] * len(batch)
        except BaseException as raised:  # a handler may raise anything, as in the service
            task = asyncio.current_task()
            if isinstance(raised, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            error = TimeoutError(f"the handler took longer than {limit:g} s") if bound.expired() else raised
            results = [None] * len(handouts)
        for handout, result in zip(handouts, results, strict=True):
            own = (batch.error_of(handout) if batch is not None else None) or error
            if handout.state != "held":
                continue
            if own is None:
                own = self._acknowledged(handout, result)
            if own is not None:
                settle_failed(settler, handout, own, rules, queue=queue)

    def _acknowledged(self, handout: Handout[Any], result: object) -> BaseException | None:
        try:
            handout.outcome_of(result)
        except Exception as error:  # noqa: BLE001  # a result that cannot be sent
            return error
        self._lane.settle_later(handout, "ack", result)
        return None

    def _settled(self, waiting: Waiting, what: Settlement) -> None:
        if what.kind in {"ack", "result"}:
            self._finish(waiting, what.value)
        elif what.kind == "dead":
            self._die(waiting, str(what.value), what)
        elif what.kind == "return":
            self._again(waiting, 0.0)
        else:
            self._fail(waiting, what)

    def _finish(self, waiting: Waiting, result: object) -> None:
        handout = waiting.handout
        self._run.handled.append(Handled(waiting.item, result, handout.attempt))
        for write in writes_of(handout.effects) if handout.collected else ():
            if write.command == "put":
                queue = cast("FakeQueue", write.key)
                for entry in write.operands:
                    item = self._codec.open(b"0" * 38 + entry)
                    once = way_in(read(b"0" * 38 + entry).headers.get("flow")).once
                    queue.receive(Put(queue.full_name, item, None, None, None, entry, once=once))
        self._run.effects += [each for each in writes_of(handout.effects).asked if each[0] not in ("put", "put_unique")]
        if waiting.future is not None and not waiting.future.done():
            waiting.future.set_result(result)
        self._release(waiting)

    def _fail(self, waiting: Waiting, what: Settlement) -> None:
        delay, counts = waiting.counts(what, self._run.seconds)
        if counts and self._lane.is_last_attempt(waiting.handout, what.attempts):
            self._die(waiting, "failed", what)
            return
        waiting.fail(what.report, counts=counts)
        behind = self._keys.get(waiting.place) if waiting.place is not None else None
        if what.kind == "pass" and behind:
            waiting.delay = delay
            behind.append(waiting)
            self._release(waiting)
        else:
            self._again(waiting, delay)

    def _again(self, waiting: Waiting, delay: float) -> None:
        if delay:
            heapq.heappush(self._delayed, (self._run.seconds + delay, waiting.number, waiting))
        else:
            self._ready.append(waiting)

    def _die(self, waiting: Waiting, reason: str, what: Settlement) -> None:
        failures = waiting.handout.failures + (reason == "failed")
        self._run.dead.append(Died(waiting.item, reason, what.report, failures))
        if waiting.future is not None and not waiting.future.done():
            waiting.future.set_exception(RemoteError(reason, what.report, what.trace))
        self._release(waiting)

    def _release(self, waiting: Waiting) -> None:
        """Let the next one of its key go."""
        if waiting.place is None:
            return
        behind = self._keys[waiting.place]
        if not behind:
            del self._keys[waiting.place]
            return
        following = behind.popleft()
        delay, following.delay = following.delay, 0.0
        self._again(following, delay)
