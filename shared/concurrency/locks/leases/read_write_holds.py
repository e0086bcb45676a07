"""ReadWriteHolds: where one ReadersWritersLease gets its holds."""

import asyncio
from typing import Final, Literal

from shared.concurrency.locks.leases.hold import Hold
from shared.concurrency.locks.leases.lease import Lease, WriteLease
from shared.concurrency.locks.leases.local_readers import LocalReaders
from shared.concurrency.locks.leases.participant import LeaseParticipant
from shared.concurrency.locks.leases.reentry import is_of, tenure_around
from shared.concurrency.locks.leases.statistics import LeaseStatistics
from shared.concurrency.locks.leases.tenure import Tenure
from shared.concurrency.session.log import Log
from shared.concurrency.session.process import Process

log = Log("locks")

Policy = Literal["fair", "readers", "writers"]


class ReadWriteHolds:
    """Asks for read holds and write holds under one policy, and refuses what would wait for its own task."""

    def __init__(
        self, process: Process, participant: LeaseParticipant, policy: Policy, ttl: float, max_hold: float | None
    ) -> None:
        """Prepare. Readers with a `max_hold` of their own share no hold."""
        self.process: Final = process
        self.policy: Final = policy
        self._participant = participant
        self._ttl = ttl
        self._max_hold = max_hold
        self._readers: LocalReaders = participant.local_readers(policy, ttl)

    async def read(self, task: "asyncio.Task[object]", *, may_wait: bool) -> Lease:
        """Wait for a read hold, or for a place in one.

        :raises LeaseBusy: when it would have to wait, and may not.
        :raises RuntimeError: when this task writes under the name, or one that started it.
        """
        # Before anything is joined: from another loop nobody could leave it.
        self.process.check_open()
        hold = self._readers.join() if self._max_hold is None else None
        if hold is None:
            hold = await self._read_hold(task, may_wait=may_wait)
        return Lease(Tenure(self._participant, hold, self._readers.leave))

    async def write(self, task: "asyncio.Task[object]", *, may_wait: bool) -> WriteLease:
        """Wait for a write hold.

        :raises LeaseBusy: when it would have to wait, and may not.
        :raises RuntimeError: when this task reads or writes under the name, or one that started it writes.
        """
        self.process.check_open()
        participant = self._participant
        for body in participant.relied_on_by(task) if may_wait else ():
            raise RuntimeError(
                f"this task {body.mode}s under {participant.name} already, and would wait for itself: leave that "
                "`async with` first (there is no upgrade)"
            )
        if may_wait:
            self._not_in_a_write()
        hold = await participant.asking.acquire("w", self.policy, self._ttl, self._max_hold, may_wait=may_wait)
        hold.places = 1
        return WriteLease(Tenure(participant, hold, self._readers.leave))

    async def statistics(self) -> LeaseStatistics:
        """Query who holds and who waits."""
        return await self._participant.statistics()

    async def _read_hold(self, task: "asyncio.Task[object]", *, may_wait: bool) -> Hold:
        participant = self._participant
        if may_wait and any(body.mode == "write" for body in participant.relied_on_by(task)):
            raise RuntimeError(
                f"this task writes under {participant.name}, and would wait for itself: read in there as it is"
            )
        around = self._not_in_a_write() if may_wait else tenure_around(participant)
        if (
            around is not None
            and around.mode == "read"
            and (is_of(around, task) or participant.asking.is_open_to_children(self._ttl))
        ):
            # Though it is closed to others: the task would wait for itself.
            around.hold.places += 1
            return around.hold
        warning = (
            None if around is None or not may_wait else self.process.loop.call_later(self._ttl, _warn_of_parent, around)
        )
        try:
            if self._max_hold is None:
                return await (self._readers.enter() if may_wait else self._readers.enter_nowait())
            hold = await participant.asking.acquire("r", self.policy, self._ttl, self._max_hold, may_wait=may_wait)
        finally:
            if warning is not None:
                warning.cancel()
        hold.places = 1
        return hold

    def _not_in_a_write(self) -> Tenure | None:
        """What this task, or one that started it, is inside of.

        :raises RuntimeError: when that is a write.
        """
        around = tenure_around(self._participant)
        if around is not None and around.mode == "write":
            raise RuntimeError(
                f"this task was started inside a write under {self._participant.name}, which would wait for it: work in "
                "there as it is, or start the task behind it"
            )
        return around


def _warn_of_parent(around: Tenure) -> None:
    if not around.ended and around.hold.left > 0:
        log.warning(
            "a task waits to read behind a writer, and the task that started it still reads: does that wait for it?",
            lease=around.source.name,
        )
