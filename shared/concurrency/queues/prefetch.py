"""Prefetch: hands the consumer service as many deliveries as it can start at once, and a few milliseconds of work."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from shared.concurrency.errors import EffectRefused, InvalidResult, MessageTooLarge, QueueShutDown
from shared.concurrency.queues.delivery import Delivery
from shared.concurrency.queues.encoding.codec import Codec, Unreadable
from shared.concurrency.queues.encoding.entry import FIELD
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.takes.lane import TakeLane
from shared.concurrency.session.log import Log

T = TypeVar("T")

log = Log("queues")

_MOST_AHEAD: Final = 400
_AHEAD_SECONDS: Final = 0.005
_MEASURED_SECONDS: Final = 0.020
_UNSTARTED_SECONDS: Final = 0.100
_OPENED_AT_ONCE: Final = 16


class Prefetch(Generic[T]):
    """Takes for a number of workers, and settles what they finish with the call that takes more.

    In hand are at most as many as workers are free, and what is handled in 5 ms at the rate of the last 20 ms or more;
    what has not started after 100 ms goes back. Half of it is on its way while the other half is read and handled:
    entries are read a few at a time, so that the server works meanwhile.
    """

    def __init__(self, lane: TakeLane, member: Membership, codec: Codec[T], results: ResultCodec, workers: int) -> None:
        """Begin to take when the first of so many workers asks."""
        self._loop = asyncio.get_running_loop()
        self._lane = lane
        self._member = member
        self._codec = codec
        self._results = results
        self._taken: deque[bytes] = deque()
        self._buffer: deque[Delivery[T]] = deque()
        self._free: deque[asyncio.Future[None]] = deque()
        self.workers = workers
        self._rising = 0
        self._ahead = 0
        self._low = 0
        self._started = 0
        self._measured = 0
        self._old_until = 0
        self._sending = False
        self._spreading = False
        self._measured_at = monotonic()
        self._returning: asyncio.TimerHandle | None = None
        self._ended: Exception | None = None
        lane.demand.takers.append(self)
        member.on_over.append(self._forget)

    def ready(self, body: "asyncio.Task[Any] | None" = None) -> Delivery[T] | None:
        """The next delivery, where that needs no waiting and no look at the lane; `body`: see `next`."""
        buffer = self._buffer
        if not buffer or (self._free and not self._spreading):
            return None
        self._started += 1
        delivery = buffer.popleft()
        delivery.body = body
        return delivery

    async def next(self, body: "asyncio.Task[Any] | None" = None) -> Delivery[T] | None:
        """Wait for a delivery; None when the intake is closed or the queue shut down and finished.

        `body`: the task that is cancelled when the session is over before the delivery is settled.

        :raises ConcurrencyError: when the server refuses to hand out anything.
        """
        while True:
            while self._buffer or self._taken:
                if not self._buffer:
                    self._open_some()
                    if len(self._taken) <= self._low and self._lane.kick():
                        await self._let_the_lane_send()
                    continue
                delivery = self._buffer.popleft()
                self._started += 1
                if self._free and not self._spreading:
                    self._spread_when_we_wait()
                if delivery.held:  # its session may have ended meanwhile
                    delivery.body = body
                    return delivery
            if self._ended is not None:
                if isinstance(self._ended, QueueShutDown):
                    return None
                raise self._ended
            await self._wait()

    def _open_some(self) -> None:
        """Read the next entries. Few at a time: what is soon done with never gets in the garbage collector's way."""
        lane, codec, held, buffer, taken = self._lane, self._codec, self._member.held, self._buffer, self._taken
        results = self._results
        for _ in range(min(len(taken), _OPENED_AT_ONCE)):
            entry = taken.popleft()
            try:
                delivery = Delivery(lane, entry, codec.open(entry), results)
            except Unreadable as error:
                self._started += 1
                lane.bury(entry[:FIELD], error.reason, error.report)
                continue
            held[delivery.field] = delivery
            buffer.append(delivery)

    async def _let_the_lane_send(self) -> None:
        """Turn the loop, once for the lane to write and once for the loop to send: what is left is worked on meanwhile."""
        self._sending = True
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._sending = False

    async def _wait(self) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._free.append(ready)
        self._lane.kick()
        try:
            await ready
        except asyncio.CancelledError:
            if ready in self._free:
                self._free.remove(ready)
            else:
                self._rising -= not ready.cancelled()
                self._wake(1)
            raise
        self._rising -= 1

    def _wake(self, workers: int) -> None:
        for _ in range(min(workers, len(self._free))):
            ready = self._free.popleft()
            if not ready.done():
                ready.set_result(None)
                self._rising += 1

    def _spread_when_we_wait(self) -> None:
        """Wake the others when the loop turns: a handler that never waits works the buffer off without them."""
        self._spreading = True
        self._loop.call_soon(self._spread)

    def _spread(self) -> None:
        self._spreading = False
        if self._sending:
            self._spread_when_we_wait()
        else:
            self._wake(self._in_hand())
            if self._free:
                # What was in hand when the lane looked last has been taken by others: there are workers who want more.
                self._lane.kick()

    def acknowledge(self, delivery: Delivery[T]) -> None:
        """As `settle`, for the usual end of a delivery that is still held."""
        delivery.state = "settled"
        self._lane.settlements.acks.append(delivery.field)
        # Nobody asks for the message any more: freed at once, it never gets in the way of the garbage collector.
        self._member.held[delivery.field] = None

    def acknowledge_with_more(
        self, delivery: Delivery[T], result: object, refused: Callable[[Exception], None]
    ) -> None:
        """Acknowledge with the next call, with the effects, and with the result where it is asked for.

        `refused` is called when either can not be sent or written; the delivery is still held then. That it was not ours any
        more is logged.
        """
        try:
            outcome = b"" if delivery.answers is None else delivery.answers.outcome(delivery.item, result)
        except (InvalidResult, MessageTooLarge) as error:
            refused(error)
            return
        if delivery.collected:
            self._apply(delivery, outcome, refused)
            return
        delivery.state = "settled"
        self._lane.settlements.add(delivery.field, "result", outcome)
        self._member.held[delivery.field] = None

    def _apply(self, delivery: Delivery[T], outcome: bytes, refused: Callable[[Exception], None]) -> None:

        def look(answer: asyncio.Future[None]) -> None:
            error = None if answer.cancelled() else answer.exception()
            if isinstance(error, EffectRefused):
                refused(error)
                self._lane.kick()  # no worker may be about to
            elif error is not None:
                log.warning("a delivery with effects was not acknowledged", id=delivery.id, problem=str(error))

        try:
            delivery.apply(outcome).add_done_callback(look)
        except EffectRefused as error:
            refused(error)

    def settle(
        self, delivery: Delivery[T], kind: str, value: int | str = 0, report: str = "",
        *, attempts: int | None = None, trace: str = "",
    ) -> None:  # fmt: skip
        """Settle with the next call; a refusal is logged. For the words see Settlements.add."""
        headers = delivery.headers_after(report)
        self._lane.settlements.add(
            delivery.settled_later(), kind, value, report, attempts=attempts, headers=headers, trace=trace
        )

    def drain(self) -> None:
        """Take no more, and give back what has not started."""
        self.end(QueueShutDown("the intake is closed"))

    async def flush(self) -> None:
        """Have what was settled sent without waiting for a take; waits for the answer."""
        await self._lane.flush()

    async def close(self, patience: float = 5.0) -> None:
        """Drain, and wait until all that was settled is answered; `patience` seconds at most."""
        self.drain()
        with contextlib.suppress(TimeoutError):  # the server is out of reach: what we hold comes back at the deadline
            async with asyncio.timeout(patience):
                await self.flush()

    # --- what the lane asks -----------------------------------------------------------------------------------------

    def wants(self) -> int:
        """How many entries it takes now."""
        if self._ended is not None:
            return 0
        elapsed = monotonic() - self._measured_at
        if elapsed >= _MEASURED_SECONDS:
            self._ahead = min(_MOST_AHEAD, int((self._started - self._measured) / elapsed * _AHEAD_SECONDS))
            self._low = self._ahead // 2
            self._measured, self._measured_at = self._started, monotonic()
        # Who is woken and has not run yet takes one of those in hand.
        return max(0, len(self._free) + self._rising + self._ahead - self._in_hand())

    def hungry(self) -> bool:
        """Whether it is worth a call: half of what it works ahead is used up."""
        return self._in_hand() <= self._low + _OPENED_AT_ONCE and self.wants() > 0

    def rests(self) -> bool:
        """Whether no worker is handling anything, or about to: a handler may keep the loop from turning."""
        return len(self._free) == self.workers

    def accept(self, entries: list[bytes]) -> None:
        """Take entries, and start a free worker on them; it starts the others."""
        self._taken.extend(entries)
        self._wake(1)
        if entries and self._returning is None:
            self._old_until = 0
            self._look_later()

    def end(self, error: Exception) -> None:
        """Nothing more will come; what has not started goes back."""
        self._ended = self._ended or error
        if self in self._lane.demand.takers:
            self._lane.demand.takers.remove(self)
        if self._returning is not None:
            self._returning.cancel()
            self._returning = None
        self._give_back(self._in_hand())
        self._wake(len(self._free))
        self._lane.kick()

    def _in_hand(self) -> int:
        return len(self._buffer) + len(self._taken)

    def _forget(self) -> None:
        self._buffer.clear()
        self._taken.clear()
        self._old_until = 0

    def _give_back(self, count: int) -> None:
        """Give back the oldest of what has not started."""
        for _ in range(count):
            if self._buffer:
                self._lane.give_back(self._buffer.popleft().settled_later())
            else:
                self._lane.give_back(self._taken.popleft())

    def _look_later(self) -> None:
        self._returning = self._loop.call_later(_UNSTARTED_SECONDS, self._return_unstarted)

    def _return_unstarted(self) -> None:
        """What was there at the last look and is there still has not started for as long as lies between two looks."""
        self._returning = None
        self._give_back(min(max(0, self._old_until - self._started), self._in_hand()))
        if self._in_hand():
            self._old_until = self._started + self._in_hand()
            self._look_later()
