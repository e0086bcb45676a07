"""What stands in for the server when a chain runs inline: deliveries are settled here."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from consumer.executors.detached import Detached
from consumer.testing.fakes import FakePipeline, Put
from shared.concurrency import Effects, ResultFuture
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.effects.effects import forward
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.entry import FIXED, pack_headers_with_error, read
from shared.concurrency.queues.encoding.flow import Way
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.message import Message

_FLAG: Final = 48
_OPENING: Final = 49


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a delivery was settled; the kinds are those of the protocol."""

    kind: str
    value: Any
    report: str
    attempts: int | None
    trace: str


class Waiting:
    """A message of the run, from its put to its end."""

    def __init__(self, put: Put, number: int, entry: bytes, make: Callable[[bytes], Handout[Message]]) -> None:
        """Use `of`."""
        self.number: Final = number
        self.queue: Final = put.queue
        self.item: Final = put.item
        self.future: Final[ResultFuture[Any] | None] = put.future
        self.delay = 0.0
        """From when it is its turn, of one that let others of its key pass."""
        self._entry = entry
        self._make: Final = make
        self._since: float | None = None
        """When it waited for a precondition first."""
        self.handout: Handout[Message] = make(entry)

    @classmethod
    def of(cls, put: Put, number: int, codec: Codec[Message], results: ResultCodec, lane: "InlineLane") -> "Waiting":
        """As it is taken for the first time."""
        entry = b"%016dtesting-----%010d%b" % (number, number, put.stored)

        def make(stored: bytes) -> Handout[Message]:
            return Handout(lane, stored, codec.open(stored), results)

        waiting = cls(put, number, entry, make)
        lane.waiting[entry[16:38]] = waiting
        return waiting

    @property
    def place(self) -> tuple[str, str] | None:
        """Where its key is held, if it has one."""
        return None if self.handout.key is None else (self.queue, self.handout.key)

    def begin(self, effects: Effects) -> Handout[Message]:
        """A delivery of it."""
        self.handout = self._make(self._entry)
        self.handout.collected = effects
        return self.handout

    def counts(self, what: Settlement, now: float) -> tuple[float, bool]:
        """Its delay in seconds, and whether this was a failure."""
        if what.kind != "wait":
            return int(what.value) / 1000, True
        delay, within = (int(word) / 1000 for word in str(what.value).split())
        self._since = now if self._since is None else self._since
        return delay, now - self._since >= within

    def fail(self, report: str, *, counts: bool) -> None:
        """Count a delivery, and a failure where it is one, and keep the error."""
        stored = read(self._entry)
        headers = (
            pack_headers_with_error(stored, report)
            if report
            else self._entry[FIXED : len(self._entry) - len(stored.body)]
        )
        done = b"0%06d%03d" % (self.handout.attempt, self.handout.failures + counts)
        flag = self._entry[_FLAG:_OPENING]
        self._entry = self._entry[:38] + done + flag + b"%03d" % len(headers) + headers + stored.body
        self.handout = self._make(self._entry)


class InlineEffects(Effects):
    """Effects whose puts may name their queue, as those of handlers in processes do."""

    __slots__ = ("_pipeline",)

    def __init__(self, pipeline: FakePipeline) -> None:
        """Begin with none."""
        super().__init__()
        self._pipeline = pipeline

    def _put_by_name(self, queue: str, item: Any, way: Way | None, once: str | None = None) -> None:
        forward(self, self._pipeline.queues[queue], item, way, once)


class InlineLane(Detached):
    """Takes settlements, of the runner and of handlers that settle themselves."""

    def __init__(self, settled: Callable[[Waiting, Settlement], None], max_attempts: int) -> None:
        """`max_attempts`: failures until a message is a dead letter, where its class does not say."""
        self._settled: Final = settled
        self._max_attempts: Final = max_attempts
        self.waiting: Final[dict[bytes, Waiting]] = {}
        """By the key of the message."""

    def settle_later(
        self, handout: Handout[Any], kind: str, value: Any = 0, report: str = "", *, attempts: int | None = None,
        trace: str = "",
    ) -> None:  # fmt: skip
        """As Settler.settle_later."""
        handout.state = "settled"
        self._settled(self.waiting[handout.entry[16:38]], Settlement(kind, value, report, attempts, trace))

    def settle(self, *words: object, headers: bytes = b"", trace: str = "") -> "asyncio.Future[None]":  # noqa: ARG002
        """Settle by hand."""
        entry, kind, value, report, *_ = [*words, 0, ""]
        assert isinstance(entry, bytes)  # noqa: S101  # as Handout calls it
        what = Settlement(str(kind), None if kind in {"ack", "result"} else value, str(report or ""), None, trace)
        self._settled(self.waiting[entry[16:38]], what)
        return _done()

    def apply(self, *words: object) -> "asyncio.Future[None]":
        """Acknowledge by hand, with effects."""
        receipt = words[0]
        assert isinstance(receipt, bytes)  # noqa: S101  # as Handout calls it
        self._settled(self.waiting[receipt[16:38]], Settlement("ack", None, "", None, ""))
        return _done()

    def is_last_attempt(self, handout: Handout[Any], attempts: int | None) -> bool:
        """As Settler.is_last_attempt."""
        return handout.failures + 1 >= (self._max_attempts if attempts is None else attempts)


def _done() -> "asyncio.Future[None]":
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done
