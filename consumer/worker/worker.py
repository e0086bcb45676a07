"""The worker: takes deliveries, runs their handlers, settles them; drains before it stops."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any, Generic, TypeVar

from consumer.rules.rules import Rules
from consumer.worker.batch_work import BatchWork, companies_of
from consumer.worker.endings import Endings
from consumer.worker.slot import Slot
from consumer.worker.stopwatch import Stopwatch
from consumer.worker.time_limits import TimeLimits
from shared.concurrency import Batch, Delivery, Queue
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.deliveries.held_batch import HeldBatch
from shared.concurrency.queues.prefetch import Prefetch
from shared.concurrency.queues.service import Histogram, measure, prefetch
from shared.concurrency.session.tasks import forgive, is_closed
from shared.logs import Log

T = TypeVar("T")

log = Log("consumer")


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
        handle_batch: Callable[[Batch[T]], Awaitable[object]] | None = None,
    ) -> None:
        """Prepare. `concurrency`: deliveries handled at once; `time_limit`: seconds that a handler may take.

        `rules`: by message class, for the classes that have rules of their own; `handle_batch`: for those of them that
        are handled in batches.

        :raises ValueError: when a number is not positive, or nothing handles batches.
        """
        if concurrency < 1 or not time_limit > 0:
            raise ValueError(f"concurrency and time_limit are positive, not {concurrency!r} and {time_limit!r}")
        rules = dict(rules or {})
        self._companies = companies_of(rules)
        if self._companies and handle_batch is None:
            raise ValueError("rules with a batch need handle_batch=")
        self._queue = queue
        self._handle = handle
        self._concurrency = concurrency
        of_types = {tp: each.time_limit for tp, each in rules.items() if each.time_limit is not None}
        self._time_limits = TimeLimits(time_limit, of_types)
        self._endings = Endings(queue.full_name, rules, self._time_limits)
        self._batches = None if handle_batch is None else BatchWork(handle_batch, self._endings)
        self._draining = False
        self._prefetch: Prefetch[T] | None = None
        self._took = Histogram()
        self._working: set[asyncio.Task[None]] = set()
        self.handled = 0
        """How many deliveries have been handled to a clean end so far."""

    async def run(self) -> None:
        """Work until drained, or until the queue is shut down and all its messages are finished.

        :raises ConcurrencyError: when the server refuses to serve this queue.
        """
        self._took = measure(self._queue, self._concurrency).handling
        taking = self._prefetch = prefetch(self._queue, self._concurrency, self._companies)
        self._endings.ending = asyncio.get_running_loop().create_future()
        slots: dict[asyncio.Task[None], Slot[T]] = {}
        for number in range(self._concurrency):
            slot: Slot[T] = Slot(Stopwatch(self._took))
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
            self._endings.has_failed = not is_cancelled or any(slot.is_cancelled(task) for task, slot in slots.items())
            raise
        finally:
            self._endings.cancels = True
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
        self._endings.end()

    async def stop(self, grace: float) -> None:
        """Drain. Cancel the handlers that still run after `grace` seconds, and give their deliveries back."""
        self.drain()
        if self._working:
            _, late = await asyncio.wait(self._working, timeout=grace)
            self._endings.cancels = True
            for task in late:
                task.cancel()
            if late:
                log.warning("giving back deliveries not finished in the grace time", count=len(late), seconds=grace)

    async def _work(self, taking: Prefetch[T], slot: Slot[T]) -> None:
        task = asyncio.current_task()
        settler, endings = taking.settler, self._endings
        failed = endings.failed  # one object for all that are under way
        left = 1  # a local that counts down costs nothing
        while (handout := taking.ready(task) or await self._next(taking, slot, task, left)) is not None:
            slot.work = handout
            try:
                result = await self._handle(handout)
            except asyncio.CancelledError as error:
                await endings.cancelled(settler, slot, handout, error)
            except BaseException as error:  # a handler may raise anything; the worker goes on
                if is_closed(task, error):
                    raise
                endings.uncancel(handout)
                endings.failed(settler, handout, error)
            else:
                # The usual way, so without a function of its own.
                if handout.state == "held":
                    if handout.collected or handout.answers is not None:
                        settler.acknowledge_with_more(handout, result, failed)
                    else:
                        settler.acknowledge(handout)
                    self.handled += 1
                else:
                    endings.uncancel(handout)
                    endings.stopped(handout)
            finally:
                slot.work = result = None
                left -= 1
                if not left:
                    left = slot.stopwatch.lap()
        self._endings.end()

    async def _next(
        self, taking: Prefetch[T], slot: Slot[T], task: "asyncio.Task[Any] | None", left: int
    ) -> Handout[T] | None:
        """Wait for a handout; a batch that is due before is handled here, off the way of single deliveries."""
        slot.stopwatch.rest(left)  # it may be for long, whatever others do: what it has measured counts now
        rested_at = monotonic()
        while True:
            try:
                found = await taking.next(task)
            except asyncio.CancelledError:
                if self._endings.cancels:
                    raise
                forgive(task)  # a handler has cancelled its own task, and returned
                continue
            if not isinstance(found, HeldBatch):
                slot.stopwatch.began_at += monotonic() - rested_at
                return found
            if self._batches is None:
                raise AssertionError("nothing gathers without handle_batch")
            count, began_at = len(found.handouts), monotonic()
            self.handled += await self._batches.work(taking.settler, slot, found)
            self._took.observe(monotonic() - began_at, count)
