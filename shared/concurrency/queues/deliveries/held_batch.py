"""HeldBatch: a batch as the rooms hold it. Users see it as a Batch."""

import asyncio
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

from shared.concurrency.errors import ConcurrencyError, MessageCancelled, StaleDelivery
from shared.concurrency.queues.deliveries.batch import Batch
from shared.concurrency.queues.deliveries.delivery import Delivery
from shared.concurrency.queues.deliveries.handout import GIVING_BACK, Handout, handout_of
from shared.concurrency.session.tasks import is_cancelled, is_closed

T = TypeVar("T")


class HeldBatch(Batch[T]):
    """Handouts that one handler gets together. It stands between them and its task, so that one loss cancels once."""

    __slots__ = ("_before", "_errors", "_task", "handouts")

    def __init__(self, handouts: Sequence[Handout[T]]) -> None:
        """Made by `Queue.get_many` and by the consumer service; of one handout at least."""
        self.handouts: Final = handouts
        self._errors: dict[bytes, BaseException | None] = {handout.receipt: None for handout in handouts}
        self._task: asyncio.Task[Any] | None = None
        self._before: int | None = None
        """How often the task was being cancelled when the session ended; None while it has not."""

    @property
    def items(self) -> list[T]:
        """As Batch.items."""
        return [handout.item for handout in self.handouts]

    def fail(self, delivery: Delivery[T], error: BaseException) -> None:
        """As Batch.fail."""
        if not isinstance(error, BaseException):
            raise TypeError(f"a delivery fails with an exception, not {error!r:.100}")
        handout = handout_of(delivery)
        if not self.holds(handout.receipt):
            raise ValueError(f"delivery {delivery.id} is not of this batch")
        handout.check_held()
        self._errors[handout.receipt] = error

    def __len__(self) -> int:
        return len(self.handouts)

    @overload
    def __getitem__(self, at: int) -> Delivery[T]: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Delivery[T]]: ...
    def __getitem__(self, at: int | slice) -> Delivery[T] | Sequence[Delivery[T]]:
        return self.handouts[at]

    async def __aenter__(self) -> Self:
        if self._task is not None:
            raise RuntimeError("the batch is handled already: `async with` takes it once")
        # Some may be settled before, but not all.
        for handout in [each for each in self.handouts if each.state != "settled"] or self.handouts:
            handout.check_held()
        self.begin(asyncio.current_task())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, before = self._task, self._before
        self.end()
        for handout in self.cancelled():
            handout.settle_cancelled()
        if self.is_interrupted or self.state == "lost":
            only_by_us = before is not None and task is not None and task.uncancel() <= before
            if error is None or (isinstance(error, asyncio.CancelledError) and only_by_us):
                raise self._loss() from error
        elif error is None or not is_closed(task, error):  # else finalizers, or the session's end, give it back
            await self._settle(error, is_cancelled=error is not None and is_cancelled(task, error))

    async def _settle(self, error: BaseException | None, *, is_cancelled: bool) -> None:
        """Settle each, all in one call, and wait for the answers; for half a second where the body was cancelled."""
        settling: list[Coroutine[Any, Any, None]] = []
        returning: list[Handout[T]] = []
        for handout in self.unsettled():
            own = self.error_of(handout) or (None if is_cancelled else error)
            if own is not None:
                settling.append(handout.fail_with(own))
            elif is_cancelled:
                returning.append(handout)
            else:
                settling.append(handout.acknowledge())
        # Begun before anything is returned: the lane sends when the loop turns.
        answering = asyncio.gather(*settling, return_exceptions=True)
        if is_cancelled:
            answers: list[asyncio.Future[Any]] = [handout.settled("return") for handout in returning]
            await asyncio.wait([answering, *answers], timeout=GIVING_BACK)
            return
        refused = [answer for answer in await answering if answer is not None]
        if error is None and refused:
            if len(refused) > 1:
                refused[0].add_note(f"and {len(refused) - 1} other deliveries of the batch were refused, too")
            raise refused[0]

    def __repr__(self) -> str:
        return f"<Batch of {len(self.handouts)} {self.state}>"

    # --- what rooms do ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """Lost where one is, held while one is, else cancelled where one was, or settled."""
        states = {handout.state for handout in self.handouts}
        return next(state for state in ("lost", "held", "cancelled", "settled") if state in states)

    @property
    def is_interrupted(self) -> bool:
        """Whether its task was cancelled by us."""
        return self._before is not None

    def holds(self, receipt: bytes) -> bool:
        """Whether a delivery is of this batch."""
        return receipt in self._errors

    def unsettled(self) -> list[Handout[T]]:
        """Those that are still to be settled."""
        return [handout for handout in self.handouts if handout.state == "held"]

    def cancelled(self) -> list[Handout[T]]:
        """Those whose messages were cancelled meanwhile; they are removed when the batch ends."""
        return [handout for handout in self.handouts if handout.state == "cancelled"]

    def error_of(self, handout: Handout[T]) -> BaseException | None:
        """What `fail` was called with for this one; None where it was not."""
        return self._errors[handout.receipt]

    def _loss(self) -> ConcurrencyError:
        if self.state == "lost":
            return StaleDelivery("the batch was lost with its session: others handle its messages")
        return MessageCancelled("all messages of the batch were cancelled while this body handled them")

    def begin(self, task: "asyncio.Task[Any] | None") -> None:
        """Have this task cancelled, once, when the session is over before all is settled."""
        self._task = task
        for handout in self.handouts:
            handout.body = self

    def end(self) -> None:
        """Nothing is left to cancel; the handouts let go of the batch."""
        self._task = None
        for handout in self.handouts:
            handout.body = None

    def cancel(self, msg: str) -> None:
        """Cancel the task, once all handouts are lost, cancelled or settled: while one is held, it goes on."""
        if self._before is None and self._task is not None and not self.unsettled():
            self._before = self._task.cancelling()
            self._task.cancel(msg)

    def cancelling(self) -> int:
        """As asyncio.Task.cancelling."""
        return self._task.cancelling() if self._task is not None else 0

    def uncancel(self) -> int:
        """As asyncio.Task.uncancel."""
        return self._task.uncancel() if self._task is not None else 0


def held_batch_of(batch: Batch[T]) -> HeldBatch[T]:
    """A batch as the rooms hold it.

    :raises TypeError: when it is none of ours.
    """
    if not isinstance(batch, HeldBatch):
        raise TypeError(f"expected a Batch, as a handler gets it, not {batch!r:.100}")
    return batch
