"""Handout: one handing-out of a message as the rooms see it; users get a Delivery, which stands on it."""

import asyncio
import traceback
from typing import Final, Generic, Protocol, TypeVar

from shared.concurrency.errors import EffectRefused, StaleDelivery
from shared.concurrency.queues.effects.effects import Effects
from shared.concurrency.queues.encoding.entry import ASKED, FIELD, FLAG, Stored, pack_headers_with_error, read
from shared.concurrency.queues.encoding.results import ResultCodec

T = TypeVar("T")

_LONGEST_TRACE: Final = 8192


class Settling(Protocol):
    """Where a handout is settled."""

    def settle(
        self, receipt: bytes, kind: str, value: int | str | bytes = 0, report: str = "",
        *, headers: bytes = b"", trace: str = "",
    ) -> asyncio.Future[None]:  # fmt: skip
        """Settle with the next call, which goes at once; the future fails with StaleDelivery when it was not ours."""

    def apply(self, receipt: bytes, effects: Effects, outcome: bytes) -> asyncio.Future[None]:
        """Acknowledge and write the effects in one step; `outcome` is empty where nobody asked for the result.

        The future fails with StaleDelivery (no longer ours) or EffectRefused (nothing written, still ours).

        :raises EffectRefused: when an effect cannot be sent.
        """

    def report(self, receipt: bytes, progress: bytes) -> None:
        """Tell whoever submitted the message how far it is, sooner or later."""

    def give_back_from_any_thread(self, receipt: bytes) -> None:
        """Give back what its owner forgot."""


class Handout(Generic[T]):
    """A message in the hands of this process, until it is settled or its session ends."""

    __slots__ = (
        "__weakref__", "_cancelling", "_settling", "answers", "body", "effects", "entry", "item", "receipt", "state",
    )  # fmt: skip

    def __init__(self, settling: Settling, entry: bytes, item: T, results: ResultCodec) -> None:
        """Made by `Queue.get` and by the consumer service."""
        self._settling = settling
        self.entry: Final = entry
        """The message as it is stored: what another process makes the same delivery of."""
        self.item: Final = item
        self.state = "held"
        """held, settled or lost."""
        self.body: asyncio.Task[object] | None = None
        """The task that is cancelled when the session is over."""
        self.effects: Effects | None = None
        """The effects, where there are any."""
        self.answers = results if entry[FLAG] >= ASKED else None
        """What writes the result; None where nobody asked for it."""
        self.receipt: Final = entry[:FIELD]
        """What names this handout on the server."""
        self._cancelling: int | None = None

    @property
    def stored(self) -> Stored:
        """What the entry says of the message."""
        return read(self.entry)

    def check(self) -> None:
        """Raise StaleDelivery unless it is ours to settle."""
        if self.state == "settled":
            raise StaleDelivery(f"delivery {self.stored.id} was settled before")
        if self.state == "lost":
            raise self.loss()

    def loss(self) -> StaleDelivery:
        """The error of a handout whose session is over."""
        return StaleDelivery(f"delivery {self.stored.id} was lost with its session: somebody else handles the message")

    def acknowledged(self, result: object = None) -> asyncio.Future[None]:
        """Acknowledge, with the effects and the result; the future is the server's answer.

        :raises StaleDelivery, EffectRefused, InvalidResult, MessageTooLarge: when that is known before.
        """
        self.check()
        outcome = b"" if self.answers is None else self.answers.outcome(self.item, result)
        if self.effects:
            return self.applied(outcome)
        return self.settled("result", outcome) if outcome else self.settled("ack")

    def applied(self, outcome: bytes) -> asyncio.Future[None]:
        """Acknowledge with the effects, and with the outcome unless it is empty; the future is the server's answer.

        :raises StaleDelivery, EffectRefused: when that is known before.
        """
        self.check()
        future = self._settling.apply(self.receipt, self.effects or Effects(), outcome)
        self.state = "settled"
        future.add_done_callback(self._hold_when_refused)
        return future

    def _hold_when_refused(self, answer: asyncio.Future[None]) -> None:
        if not answer.cancelled() and isinstance(answer.exception(), EffectRefused):
            self.state = "held"

    def settled(
        self, kind: str, value: int | str | bytes = 0, report: str = "", trace: str = ""
    ) -> asyncio.Future[None]:
        """Settle; the future is the server's answer.

        :raises StaleDelivery: when it is known before not to be ours.
        """
        self.check()
        self.state = "settled"
        return self._settling.settle(self.receipt, kind, value, report, headers=self.headers_after(report), trace=trace)

    def settled_elsewhere(self) -> bytes:
        """Mark as settled by somebody who sends the receipt himself."""
        self.check()
        self.state = "settled"
        return self.receipt

    def report(self, progress: bytes) -> None:
        """Tell whoever submitted the message how far it is."""
        self._settling.report(self.receipt, progress)

    def give_back_from_any_thread(self) -> None:
        """Give it back: its owner forgot it."""
        self._settling.give_back_from_any_thread(self.receipt)

    def headers_after(self, report: str) -> bytes:
        """The headers of the message once this handout has failed so; empty when they stay as they are."""
        return pack_headers_with_error(self.stored, report) if report else b""

    def trace_of(self, error: BaseException) -> str:
        """The end of the traceback, for whoever asked for the result; empty where nobody did."""
        return "" if self.answers is None else "".join(traceback.format_exception(error))[-_LONGEST_TRACE:]

    def lose(self) -> None:
        """The session is over: nothing can be settled any more, and the body ends."""
        if self.state != "held":
            return
        self.state = "lost"
        if self.body is not None:
            self._cancelling = self.body.cancelling()
            self.body.cancel(f"delivery {self.stored.id} was lost with its session")

    def leave_lost(self, body: "asyncio.Task[object] | None", error: BaseException | None) -> None:
        """Leave the body of a handout that was lost; a cancellation from outside wins.

        :raises StaleDelivery: in place of our own cancellation.
        """
        cancelled_by_us = self._cancelling is not None
        only_by_us = cancelled_by_us and body is not None and body.uncancel() <= (self._cancelling or 0)
        if error is None or (isinstance(error, asyncio.CancelledError) and only_by_us):
            raise self.loss() from error
