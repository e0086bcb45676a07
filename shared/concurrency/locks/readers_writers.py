"""ReadersWritersLease: many read at once or one writes, in all processes."""

import asyncio
from typing import get_args

from shared.concurrency.locks.leases.acquirable import Acquirable, L
from shared.concurrency.locks.leases.lease import Lease, WriteLease
from shared.concurrency.locks.leases.participant import LeaseParticipant
from shared.concurrency.locks.leases.read_write_holds import Policy, ReadWriteHolds
from shared.concurrency.locks.leases.reentry import enter, leave_ended
from shared.concurrency.locks.leases.statistics import LeaseStatistics
from shared.concurrency.locks.leases.tenure import Tenure
from shared.concurrency.session.names import StoredName
from shared.concurrency.session.session import Session, check_times, process_of


class ReadersWritersLease:
    """Many may read at once, or one may write, in all processes.

    `async with catalog.read():` and `async with catalog.write() as lease:`. The policy says who goes first:

    - "fair" (phase-fair: Brandenburg and Anderson, 2009): readers that come after a waiting writer queue behind it, and
      after a writer all readers that wait go in together. Nobody starves.
    - "readers": a reader waits only while a writer is inside. Writers can starve.
    - "writers": a reader waits while a writer is inside or waits. Readers can starve.

    The readers of one session share one hold at the server: while somebody reads, a second reader costs no round trip.
    A task that reads may read again though a writer waits. A task that it started may, too, until a writer has waited
    for max(1 s, ttl / 3); then it waits behind the writer, so do not wait for it inside the read. What would wait for
    the end of the same task's own `async with` raises RuntimeError: write in write, write in read, read in write, the
    same of a task that was started inside a write; there is no upgrade.
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

        `max_hold`: seconds after which a hold is renewed no more, so that a body that never ends loses it; readers with
        a `max_hold` share no hold. One name has one policy while anybody holds it or waits for it: who asks with
        another gets a ValueError.

        :raises ValueError: when an argument is out of range.
        """
        if policy not in get_args(Policy):
            raise ValueError(f"policy is one of {', '.join(get_args(Policy))}, not {policy!r}")
        process = process_of(session)
        participant = process.part(LeaseParticipant, StoredName.of(name))
        self._holds = ReadWriteHolds(process, participant, policy, *check_times(session, ttl, max_hold))

    def read(self) -> "Reading":
        """Ask to read, together with others: `async with`, or `acquire()` by hand."""
        return Reading(self._holds)

    def write(self) -> "Writing":
        """Ask to write, alone: `async with`, or `acquire()` by hand."""
        return Writing(self._holds)

    async def statistics(self) -> LeaseStatistics:
        """Who holds it and who waits for it, in order. One round trip; an outage is waited out.

        :raises ConcurrencyError: when the session is closed, or the server refuses.
        """
        return await self._holds.statistics()


class Entering(Acquirable[L]):
    """Asks for what a task, and those that it starts, are inside of from `async with` on."""

    def _entered(self, tenure: Tenure) -> None:
        enter(tenure)

    def _left(self) -> None:
        leave_ended()


class Reading(Entering[Lease]):
    """The asking for a read hold: `async with`, or by hand."""

    def __init__(self, holds: ReadWriteHolds) -> None:
        """Use `ReadersWritersLease.read`."""
        super().__init__(holds.process)
        self._holds = holds

    async def _grant(self, task: "asyncio.Task[object]", *, may_wait: bool) -> Lease:
        return await self._holds.read(task, may_wait=may_wait)

    async def locked(self) -> bool:
        """Whether a reader would have to wait. One round trip; it may be otherwise when you have read it."""
        now = await self._holds.statistics()
        waits = self._holds.policy != "readers" and any(waiter.mode == "write" for waiter in now.waiters)
        return waits or any(holder.mode == "write" for holder in now.holders)


class Writing(Entering[WriteLease]):
    """The asking for a write hold: `async with`, or by hand."""

    def __init__(self, holds: ReadWriteHolds) -> None:
        """Use `ReadersWritersLease.write`."""
        super().__init__(holds.process)
        self._holds = holds

    async def _grant(self, task: "asyncio.Task[object]", *, may_wait: bool) -> WriteLease:
        return await self._holds.write(task, may_wait=may_wait)

    async def locked(self) -> bool:
        """Whether a writer would have to wait. One round trip; it may be otherwise when you have read it."""
        now = await self._holds.statistics()
        return bool(now.holders or now.waiters)
