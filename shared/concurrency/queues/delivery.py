"""Delivery: one handing-out of a message, and how it ends."""

import asyncio
import math
import traceback
import warnings
from types import TracebackType
from typing import Final, Generic, Protocol, TypeVar

from shared.concurrency.errors import EffectRefused, InvalidResult, MessageTooLarge, StaleDelivery
from shared.concurrency.queues.effects.effects import Effects
from shared.concurrency.queues.encoding.entry import ASKED, FIELD, FLAG, Stored, pack_headers_with_error, read
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.concurrency.queues.takes.settlements import LONGEST_TEXT

T = TypeVar("T")

_GIVING_BACK: Final = 0.5
_LONGEST_DELAY: Final = 10 * 365 * 86400.0
_LONGEST_TRACE: Final = 8192


class Settling(Protocol):
    """Where a delivery is settled."""

    def settle(
        self, field: bytes, kind: str, value: int | str | bytes = 0, report: str = "",
        *, headers: bytes = b"", trace: str = "",
    ) -> asyncio.Future[None]:  # fmt: skip
        """Settle with the next call, which goes at once; the future fails with StaleDelivery when it was not ours."""

    def apply(self, field: bytes, effects: Effects, outcome: bytes) -> asyncio.Future[None]:
        """Acknowledge with effects, and with the outcome where it is asked for; the future fails with StaleDelivery, or with EffectRefused: then it is still ours.

        :raises EffectRefused: when an effect can not be sent.
        """

    def say(self, field: bytes, said: bytes) -> None:
        """Tell whoever submitted the message how far it is, sooner or later."""

    def give_back_from_any_thread(self, field: bytes) -> None:
        """Give back what its owner forgot."""


class Delivery(Generic[T]):
    """One handing-out of a message: yours until you settle it or your session ends.

    `async with delivery as item:` acknowledges on a clean exit, nacks on an exception and gives back on cancellation
    (neither a failure nor a crash); each waits for the server's answer. When the session passes its deadline inside the
    block, the body is cancelled and StaleDelivery raised in its place: the message was recovered, somebody else
    handles it. A cancellation from outside wins over that, as with asyncio.timeout.

    A delivery that is garbage-collected unsettled is given back, with a ResourceWarning.
    """

    __slots__ = (
        "__weakref__",
        "_cancelling",
        "_entry",
        "_lane",
        "answers",
        "body",
        "collected",
        "field",
        "item",
        "state",
    )

    answers: ResultCodec | None
    """What writes the result; None where nobody asked for it."""
    body: "asyncio.Task[object] | None"
    """The task that is cancelled when the session is over."""
    collected: Effects | None
    """The effects, where there are any."""
    field: bytes
    """What names this hand-out on the server."""
    item: T
    """The message."""
    state: str
    """held, settled or lost."""

    def __init__(self, lane: Settling, entry: bytes, item: T, results: ResultCodec) -> None:
        """Made by `Queue.get` and by the consumer service."""
        self._lane = lane
        self._entry = entry
        self.item = item
        self.state = "held"
        self.body = None
        self.collected = None
        self.answers = results if entry[FLAG] >= ASKED else None
        self._cancelling: int | None = None
        self.field = entry[:FIELD]

    @property
    def _stored(self) -> Stored:
        return read(self._entry)

    @property
    def id(self) -> str:
        """The `id=` given to `put`, or a generated one; the same for every delivery of the message."""
        return self._stored.id

    @property
    def attempt(self) -> int:
        """Which hand-out of the message this is, from 1: failures, crashes and givings-back all count."""
        return self._stored.attempt

    @property
    def effects(self) -> Effects:
        """Writes to be made with the acknowledgement, and only with it; see Effects."""
        if self.collected is None:
            self.collected = Effects()
        return self.collected

    @property
    def failures(self) -> int:
        """How many hand-outs of the message failed before this one."""
        return self._stored.failures

    @property
    def first_error(self) -> str | None:
        """What was wrong at the first failure, cut to 300 characters; None when nobody said, or none failed."""
        return self._stored.first_error

    @property
    def last_error(self) -> str | None:
        """The same of the last failure before this hand-out."""
        return self._stored.last_error

    @property
    def entry(self) -> bytes:
        """The message as it is stored: what another process makes the same delivery of."""
        return self._entry

    @property
    def held(self) -> bool:
        """Whether it is still to be settled."""
        return self.state == "held"

    @property
    def lost(self) -> bool:
        """Whether the session that held this delivery is over."""
        return self.state == "lost"

    async def ack(self, result: object = None) -> None:
        """Finish: the message is done with, and its effects are written. Waits for the server's answer.

        A cancelled caller leaves the acknowledgement on its way. An outage is waited out, and with effects a full memory too.
        `result` goes to whoever submitted the message; where nobody did, it is not looked at.

        :raises StaleDelivery: when it is not yours any more, or was settled before; nothing is changed.
        :raises InvalidResult, MessageTooLarge: when the result can not be sent; the delivery is still yours to settle.
        :raises EffectRefused: when an effect can not be written; none is, and the delivery is still yours to settle.
        """
        await self.acknowledged(result)

    def acknowledged(self, result: object = None) -> asyncio.Future[None]:
        """Acknowledge, with the effects and the result; the future is the server's answer.

        :raises StaleDelivery, EffectRefused, InvalidResult, MessageTooLarge: as `ack`, when that is known before.
        """
        self.check()
        outcome = b"" if self.answers is None else self.answers.outcome(self.item, result)
        if self.collected:
            return self.apply(outcome)
        return self.settled("result", outcome) if outcome else self.settled("ack")

    def apply(self, outcome: bytes) -> asyncio.Future[None]:
        """Acknowledge with the effects, and with the outcome unless it is empty; the future is the server's answer.

        :raises StaleDelivery, EffectRefused: as `ack`, when that is known before.
        """
        self.check()
        future = self._lane.apply(self.field, self.effects, outcome)
        self.state = "settled"
        future.add_done_callback(self._hold_when_refused)
        return future

    def _hold_when_refused(self, answer: asyncio.Future[None]) -> None:
        if not answer.cancelled() and isinstance(answer.exception(), EffectRefused):
            self.state = "held"

    async def nack(self, *, delay: float = 0.0) -> None:
        """Report a failure: the message comes again after `delay` seconds, or is a dead letter after `max_attempts`.

        :raises ValueError: when the delay is negative or no number.
        :raises StaleDelivery: as `ack`.
        """
        await self.settled("nack", milliseconds(delay))

    async def dead_letter(self, reason: str) -> None:
        """Give up on the message: it becomes a dead letter with this reason.

        :raises ValueError: when there is no reason, or one of more than 1,000 characters.
        :raises StaleDelivery: as `ack`.
        """
        await self.settled("dead", check_reason(reason))

    async def progress(self, fraction: float, text: str = "") -> None:
        """Tell whoever submitted the message how far it is; does nothing where nobody did.

        `fraction`: what is done, from 0 to 1. It is on its way when the loop turns, one of a delivery at a time: of what is said
        meanwhile the last counts. A hint: it is lost with a connection. A handler in a process of its own tells nothing.

        :raises ValueError: when the fraction is out of range, or the text is none.
        :raises StaleDelivery: when it is not yours any more, as far as is known here.
        """
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
            raise ValueError(f"a fraction is a number from 0 to 1, not {fraction!r:.100}")
        if not isinstance(text, str):
            raise ValueError(f"what is said of the progress is a text, not {text!r:.100}")  # noqa: TRY004
        self.check()
        if self.answers is not None:
            self._lane.say(self.field, f"{fraction:g} {text[:LONGEST_TEXT]}".encode("utf-8", "backslashreplace"))
            await asyncio.sleep(0)

    def settled(
        self, kind: str, value: int | str | bytes = 0, report: str = "", trace: str = ""
    ) -> asyncio.Future[None]:
        """Settle; the future is the server's answer."""
        self.check()
        self.state = "settled"
        return self._lane.settle(self.field, kind, value, report, headers=self.headers_after(report), trace=trace)

    def settled_later(self) -> bytes:
        """Mark as settled by somebody who sends the field himself (the consumer service)."""
        self.check()
        self.state = "settled"
        return self.field

    def headers_after(self, report: str) -> bytes:
        """The headers of the message once this hand-out has failed so; empty when they stay as they are."""
        return pack_headers_with_error(self._stored, report) if report else b""

    def trace_of(self, error: BaseException) -> str:
        """The end of the traceback, for whoever asked for the result; empty where nobody did."""
        return "" if self.answers is None else "".join(traceback.format_exception(error))[-_LONGEST_TRACE:]

    def check(self) -> None:
        """Raise StaleDelivery unless this delivery is yours to settle."""
        if self.state == "settled":
            raise StaleDelivery(f"delivery {self.id} was settled before")
        if self.state == "lost":
            raise StaleDelivery(f"delivery {self.id} was lost with its session: somebody else handles the message")

    def lose(self) -> None:
        """Called when the session is over: nothing of this delivery can be settled any more, and its body ends."""
        if self.state != "held":
            return
        self.state = "lost"
        if self.body is not None:
            self._cancelling = self.body.cancelling()
            self.body.cancel(f"delivery {self.id} was lost with its session")

    async def __aenter__(self) -> T:
        self.check()
        if self.body is not None:
            raise RuntimeError(f"delivery {self.id} is handled already: `async with` takes it once")
        self.body = asyncio.current_task()
        return self.item

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        body, self.body = self.body, None
        if self.state == "lost":
            self._leave_lost(body, error)
        elif self.state == "held":
            if error is None:
                await self._acknowledge()
            elif isinstance(error, Exception):
                await self._nack_for(error)
            else:
                # Cancelled, or the process ends: no failure of the message.
                await asyncio.wait({self.settled("return")}, timeout=_GIVING_BACK)

    def _leave_lost(self, body: "asyncio.Task[object] | None", error: BaseException | None) -> None:
        cancelled_by_us = self._cancelling is not None
        only_by_us = cancelled_by_us and body is not None and body.uncancel() <= (self._cancelling or 0)
        if error is None or (isinstance(error, asyncio.CancelledError) and only_by_us):
            raise StaleDelivery(
                f"delivery {self.id} was lost with its session: somebody else handles the message"
            ) from error

    async def _acknowledge(self) -> None:
        try:
            await self.acknowledged()
        except (EffectRefused, InvalidResult, MessageTooLarge) as refused:
            await self._nack_for(refused)
            raise

    async def _nack_for(self, error: Exception) -> None:
        try:
            await self.settled("nack", 0, f"{type(error).__name__}: {error}", self.trace_of(error))
        except StaleDelivery as stale:
            error.add_note(f"and it could not be nacked: {stale}")

    def __repr__(self) -> str:
        return f"<Delivery {self.id} attempt={self.attempt} {self.state}>"


class Forgettable(Delivery[T]):
    """A delivery in the hands of a caller, who may forget it; the consumer service spares its messages the finalizer."""

    __slots__ = ()

    def __del__(self) -> None:
        if getattr(self, "state", "settled") == "held":
            # First, for a warning may be an error.
            self._lane.give_back_from_any_thread(self.field)
            warnings.warn(
                f"delivery {self.id} was never settled: given back. Use `async with`, ack() or nack()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


def check_reason(reason: str) -> str:
    """Return what is a reason of a dead letter.

    :raises ValueError: when it is no text, empty, or of more than 1,000 characters.
    """
    if not isinstance(reason, str) or not 0 < len(reason) <= LONGEST_TEXT:
        raise ValueError("a reason is a text of 1 to 1,000 characters")
    return reason


def milliseconds(delay: float) -> int:
    """A delay in seconds as the server takes it.

    :raises ValueError: when it is negative, no number, or longer than ten years.
    """
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not math.isfinite(delay):
        raise ValueError(f"a delay is a number of seconds, not {delay!r}")
    if not 0 <= delay <= _LONGEST_DELAY:
        raise ValueError(f"a delay is between 0 and {_LONGEST_DELAY:.0f} seconds (ten years), not {delay!r}")
    return math.ceil(delay * 1000)
