"""Semaphore and Lock: permits in the whole cluster. A lock is a semaphore of one."""

import asyncio
from typing import Final

from shared.concurrency.checks import check_count
from shared.concurrency.locks.leases.acquirable import Acquirable
from shared.concurrency.locks.leases.lease import Lease
from shared.concurrency.locks.leases.participant import LeaseParticipant
from shared.concurrency.locks.leases.statistics import LeaseStatistics
from shared.concurrency.locks.leases.tenure import Tenure
from shared.concurrency.session.names import StoredName
from shared.concurrency.session.session import Session, check_times, process_of

_MOST: Final = 10_000_000


class Semaphore(Acquirable[Lease]):
    """At most `limit` holders at once, in all processes; as asyncio.Semaphore, first come first served.

    What differs: a permit is a lease, so a process that dies gives it back after `ttl` at the latest; `acquire()`
    returns the Lease; `release()` and `locked()` are coroutines, and `release()` raises RuntimeError when there is
    nothing to release, so that there are never more permits than `limit`.
    """

    _ARE_ALIKE = True

    def __init__(
        self, session: Session, name: str, limit: int, *, ttl: float | None = None, max_hold: float | None = None
    ) -> None:
        """Prepare. `ttl`: seconds until a silent holder's permit is free, by default the session's; renewed.

        `max_hold`: seconds after which a permit is renewed no more, so that a body that never ends loses it.

        :raises ValueError: when an argument is out of range.
        """
        super().__init__(process_of(session))
        self._participant = self._process.part(LeaseParticipant, StoredName.of(name))
        self._limit = check_count("limit", limit, 1, _MOST)
        self._ttl, self._max_hold = check_times(session, ttl, max_hold)

    async def _grant(self, task: "asyncio.Task[object]", *, may_wait: bool) -> Lease:
        self._process.check_open()
        participant = self._participant
        if may_wait and len(participant.relied_on_by(task)) >= self._limit:
            raise RuntimeError(
                f"this task holds all {self._limit} of {participant.name} already, and would wait for itself for ever"
            )
        hold = await participant.asking.acquire(
            "p", f"limit {self._limit}", self._ttl, self._max_hold, may_wait=may_wait
        )
        return Lease(Tenure(participant, hold, participant.releasing.release))

    async def locked(self) -> bool:
        """Whether `acquire` would have to wait. One round trip; it may be otherwise when you have read it."""
        now = await self.statistics()
        return len(now.holders) >= self._limit or bool(now.waiters)

    async def statistics(self) -> LeaseStatistics:
        """Who holds it and who waits for it, in order. One round trip; an outage is waited out.

        :raises ConcurrencyError: when the session is closed, or the server refuses.
        """
        return await self._participant.statistics()


class Lock(Semaphore):
    """One holder at a time, in all processes; as asyncio.Lock, first come first served.

    What differs: as Semaphore. Like asyncio's it is not reentrant; a task that asks again inside its own `async with`
    gets a RuntimeError instead of waiting for itself for ever.
    """

    _ARE_ALIKE = False

    def __init__(self, session: Session, name: str, *, ttl: float | None = None, max_hold: float | None = None) -> None:
        """Prepare; `ttl` and `max_hold` as for Semaphore."""
        super().__init__(session, name, 1, ttl=ttl, max_hold=max_hold)
