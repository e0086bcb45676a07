"""The worker: takes deliveries, runs their handlers, settles them; drains before it stops."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, Generic, TypeVar

from consumer.rules.errors import StillRunning
from consumer.rules.rules import Rules
from consumer.worker.failures import settle_failed
from consumer.worker.slot import Slot
from consumer.worker.time_limits import TimeLimits
from shared.concurrency import Delivery, Queue
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.deliveries.settling import Settler
from shared.concurrency.queues.prefetch import Prefetch
from shared.concurrency.queues.service import prefetch
from shared.concurrency.session.tasks import forgive, is_closed
from shared.logs import Log

T = TypeVar("T")

log = Log("consumer")

_USUAL: Final = Rules()


class Worker(Generic[T]):
    """Handles the messages of a queue, a fixed number at once.

    A clean return of the handler acknowledges, together with the next take: one round trip serves both. What it returns
    is the result, for whoever submitted the message. An exception or the time limit nacks, with the backoff of the
    message's class; Retry and Reject do what their names say; cancellation by `stop` gives the delivery back. When
    `run` ends by an error, what is being handled counts as crashed. A handler may settle the delivery itself. Refusals
    (the session was over) are logged.
    """

    def __init__(
        self,
        queue: Queue[T],
        handle: Callable[[Delivery[T]], Awaitable[object]],
        *,
        concurrency: int = 10,
        time_limit: float = 300.0,
        rules: Mapping[type[T], Rules] | None = None,
    ) -> None:
        """Prepare. `concurrency`: deliveries handled at once; `time_limit`: seconds that a handler may take.

        `rules`: by message class, for the classes that have rules of their own.

        :raises ValueError: when a number is not positive.
        """
        if concurrency < 1 or not time_limit > 0:
            raise ValueError(f"concurrency and time_limit are positive, not {concurrency!r} and {time_limit!r}")
        self._queue = queue
        self._handle = handle
        self._concurrency = concurrency
        self._rules = dict(rules or {})
        of_types = {tp: each.time_limit for tp, each in self._rules.items() if each.time_limit is not None}
        self._time_limits = TimeLimits(time_limit, of_types)
        self._draining = False
        self._cancels = False
        """Whether a worker that is cancelled was cancelled by us."""
        self._has_failed = False
        """Whether it ends by an error: what is being handled counts as crashed."""
        self._prefetch: Prefetch[T] | None = None
        self._ending: asyncio.Future[None] | None = None
        self._working: set[asyncio.Task[None]] = set()
        self.handled = 0
        """How many deliveries have been handled to a clean end so far."""

    async def run(self) -> None:
        """Work until drained, or until the queue is shut down and all its messages are finished.

        :raises ConcurrencyError: when the server refuses to serve this queue.
        """
        taking = self._prefetch = prefetch(self._queue, self._concurrency)
        self._ending = asyncio.get_running_loop().create_future()
        slots: dict[asyncio.Task[None], Slot[T]] = {}
        for number in range(self._concurrency):
            slot: Slot[T] = Slot()
            slots[asyncio.create_task(self._work(taking, slot), name=f"worker-{number}")] = slot
        self._working = set(slots)
        watch = asyncio.create_task(self._time_limits.watch(slots), name="worker-time-limit")
        if self._draining:
            self.drain()
        try:
            # A worker that `stop` cancels has not failed.
            ended, _ = await asyncio.wait(slots, return_when=asyncio.FIRST_EXCEPTION)
            for task in ended:
                if not task.cancelled():
                    task.result()
        except BaseException as error:  # raised again
            # Where the workers are cancelled too, and not by us, something has ended the loop.
            is_cancelled = isinstance(error, asyncio.CancelledError)
            self._has_failed = not is_cancelled or any(slot.is_cancelled(task) for task, slot in slots.items())
            raise
        finally:
            self._cancels = True
            watch.cancel()
            for task in slots:
                task.cancel()
            await asyncio.wait({watch, *slots})
            await taking.close()

    def drain(self) -> None:
        """Take no more. `run` returns when the running handlers have ended; what has not started goes back."""
        self._draining = True
        if self._prefetch is not None:
            self._prefetch.drain()
        self._end()

    async def stop(self, grace: float) -> None:
        """Drain. Cancel the handlers that still run after `grace` seconds, and give their deliveries back."""
        self.drain()
        if self._working:
            _, late = await asyncio.wait(self._working, timeout=grace)
            self._cancels = True
            for task in late:
                task.cancel()
            if late:
                log.warning("giving back deliveries not finished in the grace time", count=len(late), seconds=grace)

    async def _work(self, taking: Prefetch[T], slot: Slot[T]) -> None:
        task = asyncio.current_task()
        settler = taking.settler
        while (handout := taking.ready(task) or await self._next(taking, task)) is not None:
            slot.handout = handout
            try:
                result = await self._handle(handout)
            except asyncio.CancelledError as error:
                await self._cancelled(settler, slot, handout, error)
            except BaseException as error:  # a handler may raise anything; the worker goes on
                if is_closed(task, error):
                    raise
                self._uncancel(handout)
                self._failed(settler, handout, error)
            else:
                # The usual way, so without a function of its own.
                if handout.state == "held":
                    if handout.collected or handout.answers is not None:
                        settler.acknowledge_with_more(handout, result, partial(self._failed, settler, handout))
                    else:
                        settler.acknowledge(handout)
                    self.handled += 1
                else:
                    self._uncancel(handout)
            finally:
                slot.handout = result = None
        self._end()

    async def _next(self, taking: Prefetch[T], task: "asyncio.Task[Any] | None") -> Handout[T] | None:
        while True:
            try:
                return await taking.next(task)
            except asyncio.CancelledError:
                if self._cancels:
                    raise
                forgive(task)  # a handler has cancelled its own task, and returned

    def _failed(self, settler: Settler, handout: Handout[T], error: BaseException) -> None:
        rules = self._rules.get(type(handout.item), _USUAL)
        try:
            settle_failed(settler, handout, error, rules, queue=self._queue.full_name)
        except BaseException as defect:  # noqa: BLE001  # its class has code of its own, or is a Retry only by name
            defect.__context__ = None  # its text may be what raised
            settle_failed(settler, handout, defect, rules, queue=self._queue.full_name)

    async def _cancelled(
        self, settler: Settler, slot: Slot[T], handout: Handout[T], error: asyncio.CancelledError
    ) -> None:
        """Settle after a CancelledError; raise it again if this worker was cancelled."""
        task = asyncio.current_task()
        timed_out, slot.timed_out, slot.handout = slot.timed_out is handout, None, None
        cancellations = task.cancelling() if task is not None else 0
        for _ in range(timed_out + (handout.state == "lost")):
            cancellations = task.uncancel() if task is not None else 0
        if cancellations and self._cancels:
            if handout.state == "held":
                settler.settle_later(handout, "lost" if self._has_failed else "return")
            raise error
        forgive(task)
        if handout.state == "lost":
            log.warning("the session passed its deadline: another consumer handles the message", id=handout.id)
        elif timed_out:
            late = TimeoutError(f"the handler took longer than {self._time_limits.of(handout):g} s")
            self._failed(settler, handout, late)
        else:
            # We did not cancel this task: the error comes from the handler, or from something that it awaited.
            self._failed(settler, handout, error)
        if isinstance(error, StillRunning):
            await self._until_free(settler, handout, error)

    async def _until_free(self, settler: Settler, handout: Handout[T], running: StillRunning) -> None:
        """Take nothing while a thread that this worker started still runs: threads must not pile up."""
        if self._ending is None or self._ending.done():
            return
        # This worker makes no take that would carry the settlement.
        sending = asyncio.create_task(settler.flush(), name="worker-flush")
        log.warning("the handler's thread cannot be stopped: its worker waits for it", id=handout.id)
        either: set[asyncio.Future[Any]] = {self._ending, running.ended}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()

    @staticmethod
    def _uncancel(handout: Handout[T]) -> None:
        """Take back the cancellation that came with the loss of a session, if the handler ended in another way."""
        task = asyncio.current_task()
        if handout.state == "lost" and task is not None:
            task.uncancel()

    def _end(self) -> None:
        """Record that this worker takes nothing more."""
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(None)
