"""The worker: takes deliveries, has them handled, acknowledges; drains when told to stop."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

import structlog

from shared.concurrency import Delivery, Intake, Queue, StaleDelivery

T = TypeVar("T")

log = structlog.get_logger(__name__)

_FIRST_RETRY: Final = 0.25
_LONGEST_RETRY: Final = 60.0


@dataclass(slots=True)
class _Slot(Generic[T]):
    """What one worker coroutine is busy with."""

    delivery: Delivery[T] | None = None
    started_at: int = 0
    """How often the watch had looked by then."""
    timed_out: bool = False


class Worker(Generic[T]):
    """Handles the messages of a queue, a fixed number at once.

    A clean return of the handler acknowledges (together with the next take, so one round trip serves both), an
    exception or the time limit nacks with a growing delay, cancellation by `stop` gives back. A handler may settle the
    delivery itself. Refusals (the session was over) are logged.
    """

    def __init__(
        self,
        queue: Queue[T],
        handle: Callable[[Delivery[T]], Awaitable[None]],
        *,
        concurrency: int = 10,
        time_limit: float = 300.0,
    ) -> None:
        """Prepare. `concurrency`: deliveries handled at once; `time_limit`: seconds that a handler may take.

        :raises ValueError: when one of them is not positive.
        """
        if concurrency < 1 or not time_limit > 0:
            raise ValueError(f"concurrency and time_limit are positive, not {concurrency!r} and {time_limit!r}")
        self._queue = queue
        self._handle = handle
        self._concurrency = concurrency
        self._time_limit = time_limit
        self._draining = False
        self._intake: Intake[T] | None = None
        self._looks = 0
        self._working: set[asyncio.Task[None]] = set()
        self.handled = 0
        """Deliveries handled to a clean end so far."""

    async def run(self) -> None:
        """Work until drained, or until the queue is shut down and all its messages are done with.

        :raises ConcurrencyError: when the server refuses to serve this queue.
        """
        intake = self._intake = self._queue.intake(self._concurrency)
        slots: dict[asyncio.Task[None], _Slot[T]] = {}
        for number in range(self._concurrency):
            slot: _Slot[T] = _Slot()
            slots[asyncio.create_task(self._work(intake, slot), name=f"worker-{number}")] = slot
        self._working = set(slots)
        watch = asyncio.create_task(self._watch(slots), name="worker-time-limit")
        if self._draining:
            self.drain()
        try:
            await asyncio.gather(*slots)
        finally:
            watch.cancel()
            for task in slots:
                task.cancel()
            await asyncio.wait({watch, *slots})
            await intake.close()

    def drain(self) -> None:
        """Take no more; `run` returns when what is being handled has ended. What has not started goes back."""
        self._draining = True
        if self._intake is not None:
            self._intake.drain()

    async def stop(self, grace: float) -> None:
        """Drain; what is not finished after `grace` seconds is cancelled and given back."""
        self.drain()
        if self._working:
            _, late = await asyncio.wait(self._working, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                log.warning("giving back what did not finish within the grace time", count=len(late), seconds=grace)

    async def _work(self, intake: Intake[T], slot: _Slot[T]) -> None:
        task = asyncio.current_task()
        while (delivery := intake.ready(task) or await intake.next(task)) is not None:
            slot.delivery, slot.started_at, slot.timed_out = delivery, self._looks, False
            try:
                await self._handle(delivery)
            except asyncio.CancelledError:
                if not self._ended_by_us(slot):
                    _settle(intake, delivery, "return")
                    raise
                _end_cancelled(intake, delivery, self._time_limit)
            except Exception as error:  # noqa: BLE001  # a handler may raise anything; the message is tried again
                _nack(intake, delivery, error)
            else:
                # The usual way, so without a function of its own.
                if delivery.state == "held":
                    if delivery.collected:
                        intake.acknowledge_with_effects(delivery, partial(_nack, intake, delivery))
                    else:
                        intake.acknowledge(delivery)
                    self.handled += 1
            finally:
                slot.delivery = None

    @staticmethod
    def _ended_by_us(slot: _Slot[T]) -> bool:
        """Whether a cancellation was the time limit or a lost session, and nobody else's too."""
        task = asyncio.current_task()
        delivery = slot.delivery
        if task is None or delivery is None or not (slot.timed_out or delivery.lost):
            return False
        left = task.cancelling()
        for _ in range(slot.timed_out + delivery.lost):
            left = task.uncancel()
        return left == 0

    async def _watch(self, slots: "dict[asyncio.Task[None], _Slot[T]]") -> None:
        """Cancel handlers over their time limit; coarse, so that a message costs neither a timer nor a look at the clock."""
        pause = min(1.0, self._time_limit / 10)
        most = math.ceil(self._time_limit / pause)
        while True:
            await asyncio.sleep(pause)
            self._looks += 1
            for task, slot in slots.items():
                # One look more, for it began somewhere between two: nobody is cancelled early.
                if slot.delivery is not None and self._looks - slot.started_at > most and not slot.timed_out:
                    slot.timed_out = True
                    task.cancel()


def _settle(intake: Intake[T], delivery: Delivery[T], kind: str, value: int = 0, report: str = "") -> None:
    if delivery.held:
        intake.settle(delivery, kind, value, report)


def _end_cancelled(intake: Intake[T], delivery: Delivery[T], time_limit: float) -> None:
    if delivery.lost:
        log.warning("the session passed its deadline: another consumer handles the message", id=delivery.id)
    else:
        _nack(intake, delivery, TimeoutError(f"the handler took longer than {time_limit:g} s"))


def _nack(intake: Intake[T], delivery: Delivery[T], error: Exception) -> None:
    """Report a failure; the next attempt comes after a delay that doubles, with jitter so that failures spread out."""
    most = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(delivery.attempt - 1, 20))
    delay = random.uniform(most / 2, most)  # noqa: S311  # no secret
    if isinstance(error, StaleDelivery) and not delivery.held:
        log.warning("a delivery was not ours any more", id=delivery.id, problem=str(error))
        return
    log.warning(
        "the handler failed",
        id=delivery.id, attempt=delivery.attempt, error=f"{type(error).__name__}: {error}", again_in=round(delay, 2),
        exc_info=error,
    )  # fmt: skip
    _settle(intake, delivery, "nack", round(delay * 1000), f"{type(error).__name__}: {error}")
