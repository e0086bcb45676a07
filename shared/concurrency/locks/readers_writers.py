"""ReadersWritersLease: many read at once or one writes, in all processes."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Literal, get_args

from shared.concurrency.locks.leases.acquirable import Acquirable
from shared.concurrency.locks.leases.hold import Hold
from shared.concurrency.locks.leases.lease import Lease
from shared.concurrency.locks.leases.participant import LeaseParticipant
from shared.concurrency.locks.leases.statistics import LeaseStatistics
from shared.concurrency.session.names import check_name
from shared.concurrency.session.session import Session, check_times, process_of

Policy = Literal["fair", "readers", "writers"]

# What the task, or the one that started it, reads under: valid only while that one still holds it.
_reading: ContextVar[Lease | None] = ContextVar("weir_reading", default=None)


class ReadersWritersLease:
    """Many may read at once, or one may write, in all processes.

    `async with catalog.read():` and `async with catalog.write() as lease:`. The policy says who goes first:

    - "fair" (phase-fair: Brandenburg and Anderson, 2009): readers that come after a waiting writer queue behind it, and after
      a writer all readers that wait go in together. Nobody starves.
    - "readers": a reader waits only while a writer is inside. Writers can starve.
    - "writers": a reader waits while a writer is inside or waits. Readers can starve.

    The readers of one session share one hold at the server: while somebody reads, a second reader costs no round trip. A
    task that reads, or its child, may read again though a writer waits. What would wait for the end of the same task's own
    `async with` raises RuntimeError: write in write, write in read, read in write; there is no upgrade.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        policy: Policy = "fair",
        *,
        ttl: float | None = None,
        max_hold: float | None = None,
    ) -> None:
        """Prepare. `ttl`: seconds after which others may pass a silent holder, by default the session's; it is renewed.

        `max_hold`: seconds after which a hold is renewed no more, so that a body that never ends loses it; readers with a
        `max_hold` share no hold. One name has one policy while anybody holds it or waits for it: who asks with another
        gets a ValueError.

        :raises ValueError: when an argument is out of range.
        """
        if policy not in get_args(Policy):
            raise ValueError(f"policy is one of {', '.join(get_args(Policy))}, not {policy!r}")
        self._process = process_of(session)
        self.loop: Final = self._process.loop
        self.name = check_name(name)
        self.policy: Final = policy
        self._ttl, self._max_hold = check_times(session, ttl, max_hold)
        self._lessee = self._process.part(LeaseParticipant, self.name)
        self._shared = self._lessee.shared(policy, self._ttl)
        self._leave = self._shared.leave
        self.join: Final[Callable[[], Hold | None]] = _never if max_hold is not None else self._shared.join
        """A place in the read hold that stands, where that needs no question."""

    def read(self) -> "Reading":
        """Ask to read, together with others."""
        return Reading(self)

    def write(self) -> "Writing":
        """Ask to write, alone."""
        return Writing(self)

    async def statistics(self) -> LeaseStatistics:
        """Who holds it and who waits for it, in order."""
        self._process.check_open()
        return await self._lessee.statistics()

    # --- what its claims use ------------------------------------------------------------------------------------------

    async def read_hold(self, task: "asyncio.Task[object]") -> Hold:
        """Wait for a place in a read hold."""
        self._process.check_open()
        hold = self._own_hold(task)
        if hold is None and self._max_hold is None:
            hold = await self._shared.enter()
        if hold is None:
            hold = await self._lessee.acquire("r", self.policy, self._ttl, self._max_hold)
            hold.places = 1
        return hold

    def _own_hold(self, task: "asyncio.Task[object]") -> Hold | None:
        """A place in what this task, or the one that started it, reads under already, though it is closed to others."""
        if any(body.mode == "write" for body in self._lessee.relied_on_by(task)):
            raise RuntimeError(f"this task writes under {self.name}, and would wait for itself: read in there as it is")
        mine = _reading.get()
        while mine is not None:
            if mine.source is self._lessee and not mine.ended and mine.hold.left > 0:
                mine.hold.places += 1
                return mine.hold
            mine = mine.outer
        return None

    async def write_hold(self, task: "asyncio.Task[object]") -> Hold:
        """Wait for a write hold."""
        self._process.check_open()
        for body in self._lessee.relied_on_by(task):
            raise RuntimeError(
                f"this task {body.mode}s under {self.name} already, and would wait for itself: leave that `async with` first "
                "(there is no upgrade)"
            )
        hold = await self._lessee.acquire("w", self.policy, self._ttl, self._max_hold)
        hold.places = 1
        return hold

    def lease(self, hold: Hold) -> Lease:
        """What a reader gets."""
        return Lease(self._lessee, hold, self._leave)

    def write_lease(self, hold: Hold) -> "WriteLease":
        """What a writer gets."""
        return WriteLease(self._lessee, hold, self._shared.leave)


def _never() -> None:
    """Who has a longest time of his own shares no hold."""


class WriteLease(Lease):
    """What a writer holds."""

    async def downgrade(self) -> None:
        """Go on as a reader, in one step: no other writer comes between; the readers that wait come in. Same token.

        :raises LeaseLost: when it is lost.
        """
        self.check()
        if self.hold.mode == "w":
            if not await self.source.downgrade(self.hold):
                raise self.loss()
            self.outer = _valid(_reading.get())
            _reading.set(self)


class Reading(Acquirable[Lease]):
    """The asking for a read hold: `async with`, or by hand."""

    def __init__(self, of: ReadersWritersLease) -> None:
        """Use `ReadersWritersLease.read`."""
        super().__init__(of.loop)
        self._of = of

    async def _grant(self, task: "asyncio.Task[object]") -> Lease:
        return self._of.lease(self._of.join() or await self._of.read_hold(task))

    async def locked(self) -> bool:
        """Whether a reader would have to wait. One round trip; it may be otherwise when you have read it."""
        now = await self._of.statistics()
        waits = self._of.policy != "readers" and any(waiter.mode == "write" for waiter in now.waiters)
        return waits or any(holder.mode == "write" for holder in now.holders)

    async def __aenter__(self) -> Lease:
        # A second reader asks nobody, and is to cost next to nothing.
        of = self._of
        hold = of.join()
        if hold is None:
            lease = await super().__aenter__()
        else:
            lease = of.lease(hold)
            lease.begin(asyncio.current_task(self._loop))  # type: ignore[arg-type]  # cast() is a call
            self._bodies.append(lease)
        outer = _reading.get()
        lease.outer = outer if outer is None or not outer.ended else _valid(outer)
        _reading.set(lease)
        return lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        bodies = self._bodies
        try:
            if len(bodies) == 1 and bodies[0].leave_at_once():
                bodies.clear()
            else:
                await super().__aexit__(kind, error, traceback)
        finally:
            lease = _reading.get()
            if lease is not None and lease.ended:
                _reading.set(_valid(lease.outer))


def _valid(lease: Lease | None) -> Lease | None:
    while lease is not None and lease.ended:
        lease = lease.outer
    return lease


class Writing(Acquirable[WriteLease]):
    """The asking for a write hold: `async with`, or by hand."""

    def __init__(self, of: ReadersWritersLease) -> None:
        """Use `ReadersWritersLease.write`."""
        super().__init__(of.loop)
        self._of = of

    async def _grant(self, task: "asyncio.Task[object]") -> WriteLease:
        return self._of.write_lease(await self._of.write_hold(task))

    async def locked(self) -> bool:
        """Whether a writer would have to wait. One round trip; it may be otherwise when you have read it."""
        now = await self._of.statistics()
        return bool(now.holders or now.waiters)
