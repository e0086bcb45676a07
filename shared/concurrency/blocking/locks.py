"""The blocking faces of Lock, Semaphore and ReadersWritersLease."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Protocol

from shared.concurrency import Lease, LeaseBusy, LeaseStatistics
from shared.concurrency.blocking.background import Background, Call
from shared.concurrency.blocking.lease import BlockingLease


class Asks(Protocol):
    """What asks for leases in the loop."""

    async def acquire(self) -> Lease:
        """Wait for one."""
        ...

    async def acquire_nowait(self) -> Lease:
        """One that can be had at once."""
        ...

    async def locked(self) -> bool:
        """Whether `acquire` would wait."""
        ...


class Held(threading.local):
    """The leases that the calling thread has acquired through one session, the oldest first."""

    def __init__(self) -> None:
        """Begin with none, in each thread that looks."""
        self.leases: list[tuple[str, BlockingLease]] = []

    def live(self, family: str) -> list[BlockingLease]:
        """Those under a name that are held at this moment."""
        return [lease for name, lease in self.leases if name == family and lease.seconds_left > 0]


Rule = Callable[[list[BlockingLease]], str]
"""Says why a thread that holds these would wait for itself; empty where it would not."""


class BlockingAcquirable:
    """Asks for leases of one kind: `with lock as lease:`, or `acquire()` and `release()` by hand. Safe in threads."""

    def __init__(self, background: Background, asks: Asks, held: Held, family: str, rule: Rule) -> None:
        """Made by the blocking session. `family`: kind and name of what is leased."""
        self._background: Final = background
        self._asks: Final = asks
        self._held: Final = held
        self._family: Final = family
        self._rule: Final = rule
        self._own: Final = Held()
        """What the calling thread has acquired from this object."""

    def acquire(self, *, timeout: float | None = None) -> BlockingLease:
        """Wait for a lease, first come first served.

        :raises TimeoutError: when there was none within so many seconds; it leaves no trace.
        :raises RuntimeError: when this thread would wait for what it holds itself.
        :raises ValueError, ConcurrencyError: as `Lock.acquire`.
        """
        if why := self._rule(self._held.live(self._family)):
            raise RuntimeError(f"this thread would wait for itself: {why}")
        return self._acquired(self._asks.acquire, timeout)

    def acquire_nowait(self) -> BlockingLease:
        """Return a lease that can be had at once.

        :raises LeaseBusy: when `acquire` would wait.
        """
        return self._acquired(self._asks.acquire_nowait, None)

    def release(self) -> None:
        """Give back the newest that the calling thread acquired from this object.

        :raises RuntimeError: when there is none.
        :raises LeaseLost: when it was lost.
        """
        if not self._own.leases:
            raise RuntimeError("release() of a lease that this thread did not acquire from this object")
        _, lease = self._own.leases.pop()
        self._held.leases.remove((self._family, lease))
        lease.release()

    def locked(self) -> bool:
        """Whether `acquire` would have to wait; it may be otherwise when you have read it."""
        return self._background.call(self._asks.locked)

    @contextmanager
    def within(self, seconds: float) -> Iterator[BlockingLease]:
        """The same `with`, whose wait for the lease ends after so many seconds.

        :raises LeaseBusy: when there was none within that time.
        """
        try:
            lease = self.acquire(timeout=seconds) if seconds > 0 else self.acquire_nowait()
        except TimeoutError as error:
            raise LeaseBusy(f"no lease within {seconds:g} s: others hold it or wait for it") from error
        try:
            yield lease
        finally:
            self._leave(lease)

    def __enter__(self) -> BlockingLease:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own.leases:
            _, lease = self._own.leases[-1]
            self._leave(lease)

    def _acquired(self, ask: Call[Lease], timeout: float | None) -> BlockingLease:
        lease = self._joined() or BlockingLease(self._background, self._background.call(ask, timeout))
        self._own.leases.append((self._family, lease))
        self._held.leases.append((self._family, lease))
        return lease

    def _joined(self) -> BlockingLease | None:
        """A lease that the calling thread has already, where asking again could wait for itself; None to ask."""
        return None

    def _leave(self, lease: BlockingLease) -> None:
        """Give it back, unless the body did."""
        if (self._family, lease) in self._own.leases:
            self._own.leases.remove((self._family, lease))
            self._held.leases.remove((self._family, lease))
            if not lease.is_released:
                lease.release()


class BlockingLock(BlockingAcquirable):
    """One at a time in the whole cluster: as Lock. A thread that holds it and asks again gets a RuntimeError."""


class BlockingSemaphore(BlockingAcquirable):
    """So many at a time in the whole cluster: as Semaphore."""


class BlockingReading(BlockingAcquirable):
    """The asking for a read hold. A thread that reads, and reads again, joins its own hold, though a writer waits."""

    def _joined(self) -> BlockingLease | None:
        return next((lease.joined() for lease in self._held.live(self._family)), None)


class BlockingReadersWritersLease:
    """Many may read at once, or one may write, in all processes: as ReadersWritersLease."""

    def __init__(
        self, reading: BlockingAcquirable, writing: BlockingAcquirable, statistics: Callable[[], LeaseStatistics]
    ) -> None:
        """Made by the blocking session."""
        self._reading: Final = reading
        self._writing: Final = writing
        self.statistics: Final = statistics
        """Who holds it and who waits for it, in order."""

    def read(self) -> BlockingAcquirable:
        """Ask to read, together with others: `with catalog.read():`."""
        return self._reading

    def write(self) -> BlockingAcquirable:
        """Ask to write, alone: `with catalog.write() as lease:`."""
        return self._writing
