"""Delivery: one handing-out of a message, and how it ends."""

import asyncio
import warnings
from types import TracebackType
from typing import Final, Generic, TypeVar

from shared.concurrency.checks import check_delay, check_reason
from shared.concurrency.errors import EffectRefused, InvalidResult, MessageTooLarge, StaleDelivery
from shared.concurrency.queues.effects.effects import Effects
from shared.concurrency.queues.handout import Handout
from shared.concurrency.queues.takes.settlements import LONGEST_TEXT

T = TypeVar("T")

_GIVING_BACK: Final = 0.5


class Delivery(Generic[T]):
    """One handing-out of a message: yours until you settle it or your session ends.

    `async with delivery as item:` acknowledges on a clean exit, nacks on an exception and gives back on cancellation
    (neither a failure nor a crash); each waits for the server's answer. When the session passes its deadline inside the
    block, the body is cancelled and StaleDelivery raised in its place: the message was recovered, somebody else
    handles it. A cancellation from outside wins over that, as with asyncio.timeout.

    A delivery that is garbage-collected unsettled is given back, with a ResourceWarning.
    """

    __slots__ = ("__weakref__", "_handout", "item")

    item: T
    """The message."""

    def __init__(self, handout: Handout[T]) -> None:
        """Made by `Queue.get` and by the consumer service."""
        self._handout = handout
        self.item = handout.item

    @property
    def id(self) -> str:
        """The `id=` given to `put`, or a generated one; the same for every delivery of the message."""
        return self._handout.stored.id

    @property
    def attempt(self) -> int:
        """Which delivery of the message this is, from 1: failures, crashes and returns all count."""
        return self._handout.stored.attempt

    @property
    def failures(self) -> int:
        """How many deliveries of the message failed before this one."""
        return self._handout.stored.failures

    @property
    def first_error(self) -> str | None:
        """What was wrong at the first failure, cut to 300 characters; None when nobody said, or none failed."""
        return self._handout.stored.first_error

    @property
    def last_error(self) -> str | None:
        """What was wrong at the last failure before this delivery, likewise."""
        return self._handout.stored.last_error

    @property
    def effects(self) -> Effects:
        """Writes to be made with the acknowledgement, and only with it; see Effects."""
        handout = self._handout
        if handout.effects is None:
            handout.effects = Effects()
        return handout.effects

    async def ack(self, result: object = None) -> None:
        """Finish: the message is done with, and its effects are written. Waits for the server's answer.

        A cancelled caller leaves the acknowledgement on its way. An outage is waited out, and with effects a full memory too.
        `result` goes to whoever submitted the message; where nobody did, it is not looked at.

        :raises StaleDelivery: when it is not yours any more, or was settled before; nothing is changed.
        :raises InvalidResult, MessageTooLarge: when the result cannot be sent; the delivery is still yours to settle.
        :raises EffectRefused: when an effect cannot be written; none is, and the delivery is still yours to settle.
        """
        await self._handout.acknowledged(result)

    async def nack(self, *, delay: float = 0.0) -> None:
        """Report a failure: the message comes again after `delay` seconds, or is a dead letter after `max_attempts`.

        :raises ValueError: when the delay is negative or no number.
        :raises StaleDelivery: as `ack`.
        """
        await self._handout.settled("nack", check_delay(delay))

    async def dead_letter(self, reason: str) -> None:
        """Give up on the message: it becomes a dead letter with this reason.

        :raises ValueError: when there is no reason, or one of more than 1,000 characters.
        :raises StaleDelivery: as `ack`.
        """
        await self._handout.settled("dead", check_reason(reason))

    async def progress(self, fraction: float, text: str = "") -> None:
        """Tell whoever submitted the message how far it is; does nothing where nobody did.

        `fraction`: what is done, from 0 to 1. Sent on the next turn of the loop. Only the newest unsent report of a delivery
        is kept. A hint: it is lost with a connection. A handler in a process of its own reports nothing.

        :raises ValueError: when the fraction is out of range, or the text is none.
        :raises StaleDelivery: when it is not yours any more, as far as is known here.
        """
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
            raise ValueError(f"a fraction is a number from 0 to 1, not {fraction!r:.100}")
        if not isinstance(text, str):
            raise ValueError(f"what is said of the progress is a text, not {text!r:.100}")  # noqa: TRY004
        self._handout.check()
        if self._handout.answers is not None:
            self._handout.report(f"{fraction:g} {text[:LONGEST_TEXT]}".encode("utf-8", "backslashreplace"))
            await asyncio.sleep(0)

    async def __aenter__(self) -> T:
        handout = self._handout
        handout.check()
        if handout.body is not None:
            raise RuntimeError(f"delivery {self.id} is handled already: `async with` takes it once")
        handout.body = asyncio.current_task()
        return self.item

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        handout = self._handout
        body, handout.body = handout.body, None
        if handout.state == "lost":
            handout.leave_lost(body, error)
        elif handout.state == "held":
            if error is None:
                await self._acknowledge()
            elif isinstance(error, Exception):
                await self._nack_for(error)
            else:
                # Cancelled, or the process ends: no failure of the message.
                await asyncio.wait({handout.settled("return")}, timeout=_GIVING_BACK)

    async def _acknowledge(self) -> None:
        try:
            await self._handout.acknowledged()
        except (EffectRefused, InvalidResult, MessageTooLarge) as refused:
            await self._nack_for(refused)
            raise

    async def _nack_for(self, error: Exception) -> None:
        handout = self._handout
        try:
            await handout.settled("nack", 0, f"{type(error).__name__}: {error}", handout.trace_of(error))
        except StaleDelivery as stale:
            error.add_note(f"and it could not be nacked: {stale}")

    def __repr__(self) -> str:
        return f"<Delivery {self.id} attempt={self.attempt} {self._handout.state}>"


class Forgettable(Delivery[T]):
    """A delivery in the hands of a caller, who may forget it; the consumer service spares its messages the finalizer."""

    __slots__ = ()

    def __del__(self) -> None:
        handout = getattr(self, "_handout", None)
        if handout is not None and handout.state == "held":
            # First, for a warning may be an error.
            handout.give_back_from_any_thread()
            warnings.warn(
                f"delivery {self.id} was never settled: given back. Use `async with`, ack() or nack()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


def handout_of(delivery: Delivery[T]) -> Handout[T]:
    """What a delivery stands on, for the rooms that settle it."""
    return delivery._handout  # noqa: SLF001  # the only door to it
