"""Handout: a delivery as the rooms hold it. Users see it as a Delivery."""

import asyncio
import traceback
from types import TracebackType
from typing import Final, TypeVar

from shared.concurrency.checks import check_delay, check_reason
from shared.concurrency.errors import (
    ConcurrencyError,
    EffectRefused,
    InvalidResult,
    MessageCancelled,
    StaleDelivery,
    describe,
)
from shared.concurrency.queues.deliveries.account import log, log_forwarded
from shared.concurrency.queues.deliveries.delivery import Delivery
from shared.concurrency.queues.deliveries.settlement import Settling
from shared.concurrency.queues.effects.effects import Effects
from shared.concurrency.queues.encoding.codec import LONGEST_TRACE
from shared.concurrency.queues.encoding.entry import (
    ASKED,
    FLAG,
    RECEIPT,
    Stored,
    is_asked_by_id,
    pack_headers_with_error,
    read,
)
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.concurrency.queues.takes.settlements import LONGEST_TEXT
from shared.concurrency.session.tasks import Body, is_cancelled, is_closed

T = TypeVar("T")

GIVING_BACK: Final = 0.5
"""Seconds that a cancelled body waits for the answer to what it gives back."""
INVALID_RESULT: Final = "invalid_result"
"""The reason of a dead letter whose result could not be sent."""


class Handout(Delivery[T]):
    """A message in the hands of this process, until it is settled or its session ends.

    There is one for each message, so it sets no field that is seldom asked for: `body`, and what `lose` and
    `outcome_of` remember.
    """

    __slots__ = (
        "__weakref__", "_cancelling", "_settling", "_unsendable", "answers", "body", "collected", "entry", "item", "receipt",
        "state",
    )  # fmt: skip

    body: Body | None
    """What is cancelled when the session is over; unset while nobody has begun."""
    _cancelling: int
    _unsendable: Exception

    def __init__(self, settling: Settling, entry: bytes, item: T, results: ResultCodec) -> None:
        """Made by `Queue.get` and by the consumer service."""
        self._settling = settling
        self.entry = entry
        """The message as it is stored: what another process makes the same delivery of."""
        self.item = item
        self.state = "held"
        """held, settled, lost, or cancelled."""
        self.collected: Effects | None = None
        """The effects, where there are any."""
        self.answers = results if entry[FLAG] >= ASKED else None
        """What writes the result; None where nobody asked for it."""
        self.receipt = entry[:RECEIPT]
        """What names this handout on the server."""

    @property
    def _stored(self) -> Stored:
        return read(self.entry)

    @property
    def cancelled(self) -> bool:
        """As Delivery.cancelled."""
        return self.state == "cancelled"

    @property
    def effects(self) -> Effects:
        """As Delivery.effects."""
        if self.collected is None:
            self.collected = Effects()
        return self.collected

    # --- what a handler does ----------------------------------------------------------------------------------------

    async def ack(self, result: object = None) -> None:
        """As Delivery.ack."""
        await self._acknowledged(result)

    async def nack(self, *, delay: float = 0.0, hold_key: bool = True) -> None:
        """As Delivery.nack."""
        await self.settled("nack" if hold_key else "pass", check_delay(delay))

    async def dead_letter(self, reason: str) -> None:
        """As Delivery.dead_letter."""
        await self.settled("dead", check_reason(reason))

    async def progress(self, fraction: float, text: str = "") -> None:
        """As Delivery.progress."""
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
            raise ValueError(f"a fraction is a number from 0 to 1, not {fraction!r:.100}")
        if not isinstance(text, str):
            raise ValueError(f"what is said of the progress is a text, not {text!r:.100}")  # noqa: TRY004
        self._check()
        if self.answers is not None:
            report = f"{fraction:g} {text[:LONGEST_TEXT]}".encode("utf-8", "backslashreplace")
            self._settling.report(self.receipt, report, is_kept=is_asked_by_id(self.entry))
            await asyncio.sleep(0)

    async def __aenter__(self) -> T:
        self._check()
        if getattr(self, "body", None) is not None:
            raise RuntimeError(f"delivery {self.id} is handled already: `async with` takes it once")
        self.body = asyncio.current_task()
        return self.item

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        body, self.body = self.body, None
        if self.is_interrupted:
            self._leave_interrupted(body, error)
        elif self.state == "held":
            if error is None:
                await self.acknowledge()
            elif is_cancelled(body, error):
                await asyncio.wait({self.settled("return")}, timeout=GIVING_BACK)
            elif not is_closed(body, error):  # else its finalizer, or the session's end, gives it back
                await self.fail_with(error)

    async def acknowledge(self) -> None:
        """End a body cleanly: acknowledge, or fail where that is refused; waits for the answer."""
        try:
            await self._acknowledged()
        except (EffectRefused, InvalidResult) as refused:
            await self.fail_with(refused)
            raise

    async def fail_with(self, error: BaseException) -> None:
        """End a body that raised this; waits for the answer."""
        # Work whose result cannot be sent is done, and would end in the same way again.
        kind, value = ("dead", INVALID_RESULT) if self.is_unsendable(error) else ("nack", 0)
        try:
            await self.settled(kind, value, describe(error), self.trace_of(error))
        except StaleDelivery as stale:
            error.add_note(f"and it could not be settled: {stale}")

    def __repr__(self) -> str:
        return f"<Delivery {self.id} attempt={self.attempt} {self.state}>"

    # --- what rooms do ----------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise StaleDelivery unless it is ours to settle, and WrongLoop outside the loop of its session."""
        self._settling.check_here()
        self.check_held()

    def check_held(self) -> None:
        """Raise StaleDelivery unless it is ours to settle; in any thread."""
        if self.state == "settled":
            raise StaleDelivery(f"delivery {self.id} was settled before")
        if self.is_interrupted:
            raise self._loss()

    def _loss(self) -> StaleDelivery:
        """The error of a handout whose session is over, or whose message was cancelled."""
        if self.state == "cancelled":
            return StaleDelivery(f"delivery {self.id} was cancelled: nothing that is done for it is kept")
        return StaleDelivery(f"delivery {self.id} was lost with its session: somebody else handles the message")

    @property
    def is_interrupted(self) -> bool:
        """Whether its body, where it has one, was cancelled by us."""
        return self.state in ("lost", "cancelled")

    def _acknowledged(self, result: object = None) -> asyncio.Future[None]:
        """Acknowledge, with the effects and the result; the future is the server's answer.

        :raises StaleDelivery, EffectRefused, InvalidResult: when that is known before.
        """
        self._check()
        outcome = self.outcome_of(result)
        if self.collected:
            return self.applied(outcome)
        return self.settled("result", outcome) if outcome else self.settled("ack")

    def outcome_of(self, result: object) -> bytes:
        """The result as it travels, empty where nobody asked for it.

        :raises InvalidResult: when it cannot be sent; `is_unsendable` knows the error then.
        """
        if self.answers is None:
            return b""
        try:
            return self.answers.outcome(self.item, result)
        except InvalidResult as error:
            self._unsendable = error
            raise

    def is_unsendable(self, error: BaseException) -> bool:
        """Whether this is the error of a result that could not be sent, not one of the handler's own."""
        return error is getattr(self, "_unsendable", None)

    def applied(self, outcome: bytes) -> asyncio.Future[None]:
        """Acknowledge with the effects, and with the outcome unless it is empty; the future is the server's answer.

        :raises StaleDelivery, EffectRefused: when that is known before.
        """
        self._check()
        future = self._settling.apply(self.receipt, self.collected or Effects(), outcome)
        self.state = "settled"
        future.add_done_callback(self._hold_when_refused)
        return future

    def _hold_when_refused(self, answer: asyncio.Future[None]) -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        if isinstance(error, EffectRefused):
            self.state = "held"
        elif error is None and self.collected and log.is_debug:
            log_forwarded(self.id, self.collected)

    def settled(
        self, kind: str, value: int | str | bytes = 0, report: str = "", trace: str = ""
    ) -> asyncio.Future[None]:
        """Settle; the future is the server's answer.

        :raises StaleDelivery: when it is known before not to be ours.
        """
        self._check()
        self.state = "settled"
        return self._settling.settle(self.entry, kind, value, report, headers=self.headers_after(report), trace=trace)

    def settled_elsewhere(self) -> bytes:
        """Mark as settled by somebody who sends the receipt himself; returns the entry."""
        self._check()
        self.state = "settled"
        return self.entry

    def headers_after(self, report: str) -> bytes:
        """The headers of the message once this handout has failed so; empty when they stay as they are."""
        return pack_headers_with_error(self._stored, report) if report else b""

    def trace_of(self, error: BaseException) -> str:
        """The end of the traceback, for whoever asked for the result; empty where nobody did."""
        return "" if self.answers is None else "".join(traceback.format_exception(error))[-LONGEST_TRACE:]

    def lose(self) -> None:
        """The session is over: nothing can be settled any more, and the body ends."""
        if self.state == "held":
            self._interrupt("lost", "was lost with its session")

    def stop(self) -> None:
        """The message was cancelled: the body ends, and whoever runs it settles; where there is none, here."""
        if self.state == "held":
            self._interrupt("cancelled", "was cancelled")
            if getattr(self, "body", None) is None:
                self.settle_cancelled()

    def settle_cancelled(self) -> None:
        """Have the server remove it, now that nobody works on it; once."""
        self._settling.settle_cancelled(self.receipt)

    def _interrupt(self, state: str, what: str) -> None:
        self.state = state
        body = getattr(self, "body", None)
        if body is not None:
            self._cancelling = body.cancelling()
            body.cancel(f"delivery {self.id} {what}")

    def _leave_interrupted(self, body: Body | None, error: BaseException | None) -> None:
        """Leave the body of a handout that was lost, or whose message was cancelled; a cancellation from outside wins.

        :raises StaleDelivery, MessageCancelled: in place of our own cancellation.
        """
        before: int | None = getattr(self, "_cancelling", None)
        only_by_us = before is not None and body is not None and body.uncancel() <= before
        loss: ConcurrencyError = self._loss()
        if self.state == "cancelled":
            self.settle_cancelled()
            loss = MessageCancelled(f"message {self.id} was cancelled while this body handled it")
        if error is None or (isinstance(error, asyncio.CancelledError) and only_by_us):
            raise loss from error


def handout_of(delivery: Delivery[T]) -> Handout[T]:
    """A delivery as the rooms hold it.

    :raises TypeError: when it is none of ours.
    """
    if not isinstance(delivery, Handout):
        raise TypeError(f"expected a Delivery, as `queue.get()` or a handler gets it, not {delivery!r}")
    return delivery
