"""Endings: what becomes of a delivery, or of a batch, whose handler did not return."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

from consumer.rules.errors import StillRunning
from consumer.rules.rules import Rules
from consumer.worker.failures import about, settle_failed
from consumer.worker.slot import Slot, Work, handouts_of
from consumer.worker.time_limits import TimeLimits
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.deliveries.held_batch import HeldBatch
from shared.concurrency.queues.deliveries.settling import Settler
from shared.concurrency.session.tasks import forgive
from shared.logs import Log

T = TypeVar("T")

log = Log("consumer")

_USUAL: Final = Rules()


class Endings(Generic[T]):
    """Settles by the rules of the message's class, and knows whether a cancelled worker was cancelled by the service.

    A batch is settled delivery by delivery: those that its handler had fail by themselves by their own errors, all
    others alike.
    """

    def __init__(self, queue: str, rules: Mapping[type[T], Rules], time_limits: TimeLimits[T]) -> None:
        """`queue`: its name in the log; `rules`: by message class, for those that have rules of their own."""
        self._queue: Final = queue
        self._rules: Final = rules
        self._time_limits: Final = time_limits
        self.cancels = False
        """Whether a worker that is cancelled was cancelled by the service."""
        self.has_failed = False
        """Whether the service ends by an error: what is being handled counts as crashed."""
        self.ending: asyncio.Future[None] | None = None
        """Done when the service takes nothing more."""

    def end(self) -> None:
        """Record that the service takes nothing more."""
        if self.ending is not None and not self.ending.done():
            self.ending.set_result(None)

    def failed(self, settler: Settler, work: Work[T], error: BaseException) -> None:
        """Settle what failed with this error, unless it was cancelled; log what happened, once."""
        self.stopped(work)
        if work.state == "cancelled":
            return
        if isinstance(work, HeldBatch):
            self.failed_alone(settler, work)
            # Where all are settled, or lost, the error is logged and nothing else.
            left = work.unsettled() or work.handouts
            self._fail(settler, left[0], error, of=len(left))
            for handout in left[1:]:
                self._fail(settler, handout, error, of=0)
        else:
            self._fail(settler, work, error)

    def failed_alone(self, settler: Settler, batch: HeldBatch[T]) -> None:
        """Settle those of a batch that its handler had fail by themselves."""
        for handout in batch.unsettled():
            if (own := batch.error_of(handout)) is not None:
                self._fail(settler, handout, own)

    def _fail(self, settler: Settler, handout: Handout[T], error: BaseException, *, of: int = 1) -> None:
        rules = self._rules.get(type(handout.item), _USUAL)
        try:
            settle_failed(settler, handout, error, rules, queue=self._queue, of=of)
        except BaseException as defect:  # noqa: BLE001  # its class has code of its own, or is a Retry only by name
            defect.__context__ = None  # its text may be what raised
            settle_failed(settler, handout, defect, rules, queue=self._queue, of=of)

    async def cancelled(self, settler: Settler, slot: Slot[T], work: Work[T], error: asyncio.CancelledError) -> None:
        """Settle after a CancelledError; raise it again if this worker was cancelled."""
        task = asyncio.current_task()
        timed_out, slot.timed_out, slot.work = slot.timed_out is work, None, None
        cancellations = task.cancelling() if task is not None else 0
        for _ in range(timed_out + work.is_interrupted):
            cancellations = task.uncancel() if task is not None else 0
        if cancellations and self.cancels:
            self._give_back(settler, work)
            raise error
        forgive(task)
        if work.state == "lost":
            log.warning("the session passed its deadline: another consumer handles the message", **_about(work))
        elif work.state == "cancelled":
            self.stopped(work)
        elif timed_out:
            late = TimeoutError(f"the handler took longer than {self._time_limits.of(work):g} s")
            self.failed(settler, work, late)
        else:
            # We did not cancel this task: the error comes from the handler, or from something that it awaited.
            self.failed(settler, work, error)
        if isinstance(error, StillRunning):
            await self._until_free(settler, work, error)

    def _give_back(self, settler: Settler, work: Work[T]) -> None:
        if isinstance(work, HeldBatch):
            self.failed_alone(settler, work)
        for handout in handouts_of(work):
            if handout.state == "held":
                settler.settle_later(handout, "lost" if self.has_failed else "return")
        self.stopped(work)

    @staticmethod
    def stopped(work: Work[T]) -> None:
        """Have what was cancelled removed, now that its handler has ended, however it did; a thread's may go on."""
        for handout in handouts_of(work):
            if handout.cancelled:
                handout.settle_cancelled()
                log.info("the message was cancelled: its handler was stopped", id=handout.id)

    async def _until_free(self, settler: Settler, work: Work[T], running: StillRunning) -> None:
        """Take nothing while a thread that this worker started still runs: threads must not pile up."""
        if self.ending is None or self.ending.done():
            return
        # This worker makes no take that would carry the settlement.
        sending = asyncio.create_task(settler.flush(), name="worker-flush")
        log.warning("the handler's thread cannot be stopped: its worker waits for it", **_about(work))
        either: set[asyncio.Future[Any]] = {self.ending, running.ended}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()

    @staticmethod
    def uncancel(work: Work[T]) -> None:
        """Take back the cancellation of a lost session or a cancelled message, if the handler ended in another way."""
        task = asyncio.current_task()
        if work.is_interrupted and task is not None:
            task.uncancel()


def _about(work: Work[T]) -> dict[str, Any]:
    handouts = handouts_of(work)
    return about(handouts[0], len(handouts))
