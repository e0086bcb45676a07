"""Prefetch: hands the consumer service as many deliveries as it can start at once, and a few milliseconds of work."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Generic, TypeVar

from shared.concurrency.errors import QueueShutDown
from shared.concurrency.queues.deliveries.gathering import Company, Gathering
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.deliveries.held_batch import HeldBatch
from shared.concurrency.queues.deliveries.opening import Opening
from shared.concurrency.queues.deliveries.settling import Settler
from shared.concurrency.queues.deliveries.unread import Unread
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.takes.pace import Pace
from shared.concurrency.queues.takes.unstarted import Unstarted

T = TypeVar("T")

_PATIENCE: Final = 5.0


class Prefetch(Generic[T]):
    """Takes for a number of workers, and settles what they finish with the call that takes more (AMQP's prefetch).

    In hand are at most as many as workers are free, and what is handled in 5 ms at the rate of the last 20 ms or more;
    what has not started after 100 ms goes back. Half of it is on its way while the other half is read and handled:
    entries are read a few at a time, so that the server works meanwhile.
    """

    def __init__(
        self,
        member: Membership,
        settler: Settler,
        codec: Codec[T],
        results: ResultCodec,
        workers: int,
        *,
        unread: Unread,
        companies: Mapping[type[Any], Company],
    ) -> None:
        """Begin to take when the first of so many workers asks. `companies`: the classes handled in batches."""
        self._loop = asyncio.get_running_loop()
        self._takes = takes = settler.takes
        self.settler: Final = settler
        """Where the workers settle."""
        self._taken: deque[bytes] = deque()
        self._buffer: deque[Handout[T]] = deque()
        self._free: deque[asyncio.Future[None]] = deque()
        self.pace = Pace(workers, self._free, self._buffer, self._taken)
        self._gathering: Gathering[T] = Gathering(companies, settler, self.pace, partial(self._wake, 1))
        self._opening = Opening(member, settler, codec, results, unread=unread, gathering=self._gathering)
        self._unstarted = Unstarted(self.pace, self._give_back)
        self._is_sending = False
        self._is_spreading = False
        self._ended: Exception | None = None
        takes.demand.getters.takers.append(self)
        member.on_over.append(self._forget)

    def ready(self, body: "asyncio.Task[Any] | None" = None) -> Handout[T] | None:
        """The next handout, where that needs no waiting and no look at the lane; `body`: see `next`."""
        buffer = self._buffer
        if not buffer or (self._free and not self._is_spreading):
            return None
        self.pace.started += 1
        handout = buffer.popleft()
        handout.body = body
        return handout

    async def next(self, body: "asyncio.Task[Any] | None" = None) -> Handout[T] | HeldBatch[T] | None:
        """Wait for a handout or a batch; None when the prefetch is closed or the queue shut down and finished.

        `body`: the task that is cancelled when the session is over before the delivery is settled.

        :raises ConcurrencyError: when the server refuses to hand out anything.
        """
        due = self._gathering.due
        while True:
            while due or self._buffer or self._taken:
                if due:
                    return self._begin_batch(body)
                if not self._buffer:
                    self._opening.open_some(self._taken, self._buffer)
                    if len(self._taken) <= self.pace.low and self._takes.kick():
                        await self._let_the_lane_send()
                    continue
                handout = self._buffer.popleft()
                self.pace.started += 1
                if self._free and not self._is_spreading:
                    self._spread_when_we_wait()
                if handout.state == "held":  # its session may have ended meanwhile
                    handout.body = body
                    return handout
            if self._ended is not None:
                if isinstance(self._ended, QueueShutDown):
                    return None
                raise self._ended
            await self._wait()

    def _begin_batch(self, body: "asyncio.Task[Any] | None") -> HeldBatch[T]:
        batch = self._gathering.take()
        batch.begin(body)
        if self._free and not self._is_spreading:
            self._spread_when_we_wait()
        return batch

    async def _let_the_lane_send(self) -> None:
        """Turn the loop, once for the lane to write and once for the loop to send; workers go on meanwhile."""
        self._is_sending = True
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._is_sending = False

    async def _wait(self) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._free.append(ready)
        self._takes.kick()
        try:
            await ready
        except asyncio.CancelledError:
            if ready in self._free:
                self._free.remove(ready)
            else:
                self.pace.rising -= not ready.cancelled()
                self._wake(1)
            raise
        self.pace.rising -= 1

    def _wake(self, workers: int) -> None:
        for _ in range(min(workers, len(self._free))):
            ready = self._free.popleft()
            if not ready.done():
                ready.set_result(None)
                self.pace.rising += 1

    def _spread_when_we_wait(self) -> None:
        """Wake the others when the loop turns: a handler that never waits works the buffer off without them."""
        self._is_spreading = True
        self._loop.call_soon(self._spread)

    def _spread(self) -> None:
        self._is_spreading = False
        if self._is_sending:
            self._spread_when_we_wait()
        else:
            self._wake(self.pace.in_hand() + len(self._gathering.due))
            if self._free:
                # What was in hand when the lane looked last has been taken by others: there are workers who want more.
                self._takes.kick()

    def drain(self) -> None:
        """Take no more, and give back what has not started."""
        self.end(QueueShutDown("the prefetch is closed"))

    async def close(self, patience: float = _PATIENCE) -> None:
        """Drain, and wait until all that was settled is answered; `patience` seconds at most."""
        self.drain()
        for handout in self._gathering.forget():  # no worker came to it
            self._takes.give_back(handout.settled_elsewhere())
        with contextlib.suppress(TimeoutError):  # the server is out of reach: what we hold comes back at the deadline
            async with asyncio.timeout(patience):
                await self.settler.flush()

    # --- what the lane asks -----------------------------------------------------------------------------------------

    def accept(self, entries: list[bytes]) -> None:
        """Take entries, and start a free worker on them; it starts the others."""
        self._taken.extend(entries)
        self._wake(1)
        if entries:
            self._unstarted.watch()

    def withdraw(self, receipt: bytes) -> bool:
        """Take out what has not started, for its message was cancelled; whether that was an entry not read yet."""
        for entry in [entry for entry in self._taken if entry.startswith(receipt)]:
            self._taken.remove(entry)
            self.pace.started += 1
            return True
        for handout in [handout for handout in self._buffer if handout.receipt == receipt]:
            self._buffer.remove(handout)
            self.pace.started += 1
        self._gathering.withdraw(receipt)
        return False

    def end(self, error: Exception) -> None:
        """Nothing more will come; what has not started goes back, but for what is set aside: it makes batches."""
        self._ended = self._ended or error
        self.pace.is_ended = True
        if self in self._takes.demand.getters.takers:
            self._takes.demand.getters.takers.remove(self)
        self._unstarted.stop()
        self._give_back(self.pace.in_hand())
        self._gathering.close_all()
        self._wake(len(self._free))
        self._takes.kick()

    def _forget(self) -> None:
        self._buffer.clear()
        self._taken.clear()
        self._gathering.forget()
        self._unstarted.forget()

    def _give_back(self, count: int) -> None:
        """Give back the oldest of what has not started."""
        for _ in range(count):
            if self._buffer:
                self._takes.give_back(self._buffer.popleft().settled_elsewhere())
            else:
                self._takes.give_back(self._taken.popleft())
