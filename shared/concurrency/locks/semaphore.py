"""Semaphore and Lock: permits in the whole cluster. A lock is a semaphore of one."""

import asyncio
from typing import Final

from shared.concurrency.checks import check_count
from shared.concurrency.locks.leases.acquirable import Acquirable
from shared.concurrency.locks.leases.hold import Hold
from shared.concurrency.locks.leases.lease import Lease
from shared.concurrency.locks.leases.participant import LeaseParticipant
from shared.concurrency.locks.leases.statistics import LeaseStatistics
from shared.concurrency.locks.leases.tenure import Tenure
from shared.concurrency.session.log import Log
from shared.concurrency.session.names import StoredName
from shared.concurrency.session.session import Session, check_times, process_of

log = Log("locks")

_MOST: Final = 10_000_000


class Permits(Acquirable[Lease]):
    """What Semaphore and Lock have in common: permits under one name."""

    def __init__(self, session: Session, name: str, kind: str, ttl: float | None, max_hold: float | None) -> None:
        """Use Semaphore or Lock."""
        super().__init__(process_of(session))
        self._participant = self._process.part(LeaseParticipant, StoredName.of(name))
        self._kind = kind
        self._ttl, self._max_hold = check_times(session, ttl, max_hold)

    async def locked(self) -> bool:
        """Whether `acquire` would have to wait. One round trip; it may be otherwise when you have read it."""
        now = await self.statistics()
        return bool(now.waiters) or len(now.holders) >= (now.limit or 1)

    async def statistics(self) -> LeaseStatistics:
        """Who holds it and who waits for it, in order. One round trip; an outage is waited out.

        :raises ConcurrencyError: when the session is closed, or the server refuses.
        """
        return await self._participant.statistics()

    def _lease(self, hold: Hold) -> Lease:
        return Lease(Tenure(self._participant, hold, self._participant.releasing.release))

    def _check_own(self, task: "asyncio.Task[object]", limit: int) -> None:
        """Refuse what would wait for the end of this task's own `async with`."""
        name = self._participant.name
        if len(self._participant.relied_on_by(task)) >= limit:
            raise RuntimeError(f"this task holds all {limit} of {name} already, and would wait for itself for ever")


class Semaphore(Permits):
    """At most `limit` holders at once, in all processes; as asyncio.Semaphore, first come first served.

    What differs: a permit is a lease, so a process that dies gives it back after `ttl` at the latest; `acquire()`
    returns the Lease; `release()` and `locked()` are coroutines, and `release()` raises RuntimeError when there is
    nothing to release, so that there are never more permits than `limit`. The limit is stored with the name: the first
    one counts until `resize`, another one is logged and ignored.
    """

    _ARE_ALIKE = True

    def __init__(
        self, session: Session, name: str, limit: int, *, ttl: float | None = None, max_hold: float | None = None
    ) -> None:
        """Prepare. `ttl`: seconds until a silent holder's permit is free, by default the session's; renewed.

        `max_hold`: seconds after which a permit is renewed no more, so that a body that never ends loses it.

        :raises ValueError: when an argument is out of range.
        """
        self._limit = check_count("limit", limit, 1, _MOST)
        self._given: int | None = limit  # by the constructor; None once nobody needs to be told about it
        super().__init__(session, name, f"limit {limit}", ttl, max_hold)

    async def resize(self, limit: int) -> None:
        """Change the stored limit, for all processes; the later `resize` wins. Two round trips.

        Those who wait get what has become free. After a shrink all keep their permits, and nobody gets one until there
        are fewer than `limit`. Without a `resize` a limit is forgotten when its name was not used for the longer of ten
        times to live and an hour.

        :raises ValueError: when it is out of range, or the name is in use as another kind of lease.
        :raises ConcurrencyError: when the session is closed, or the server refuses.
        """
        self._process.check_open()
        check_count("limit", limit, 1, _MOST)
        seen: str | int = ""
        for _ in ("ask", "resize"):
            seen = await self._participant.resize(limit, seen)
        self._given = None
        self._keep_limit(limit)

    async def locked(self) -> bool:
        """Whether `acquire` would have to wait. One round trip; it may be otherwise when you have read it."""
        now = await self.statistics()
        return bool(now.waiters) or len(now.holders) >= (now.limit or self._limit)

    async def _grant(self, task: "asyncio.Task[object]", *, may_wait: bool) -> Lease:
        self._process.check_open()
        # Only the server knows the limit: somebody may have changed it.
        hold = await self._participant.asking.acquire(
            "p", self._kind, self._ttl, self._max_hold, may_wait=may_wait,
            on_waits=lambda: self._check_own(task, self._stored_limit()),
        )  # fmt: skip
        self._stored_limit()
        return self._lease(hold)

    def _stored_limit(self) -> int:
        """The limit by the last answer; one that is not ours is logged once."""
        _, _, limit = self._participant.asking.kind.partition(" ")
        if limit and int(limit) != self._limit:
            self._keep_limit(int(limit))
            if self._given not in {None, self._limit}:
                log.warning(
                    "the semaphore keeps the limit that it has",
                    lease=self._participant.name, stored=self._limit, ignored=self._given,
                )  # fmt: skip
                self._given = None
        return self._limit

    def _keep_limit(self, limit: int) -> None:
        self._limit, self._kind = limit, f"limit {limit}"


class Lock(Permits):
    """One holder at a time, in all processes; as asyncio.Lock, first come first served.

    What differs: as Semaphore. Like asyncio's it is not reentrant; a task that asks again inside its own `async with`
    gets a RuntimeError instead of waiting for itself for ever.
    """

    def __init__(self, session: Session, name: str, *, ttl: float | None = None, max_hold: float | None = None) -> None:
        """Prepare; `ttl` and `max_hold` as for Semaphore."""
        super().__init__(session, name, "lock", ttl, max_hold)

    async def _grant(self, task: "asyncio.Task[object]", *, may_wait: bool) -> Lease:
        self._process.check_open()
        if may_wait:
            self._check_own(task, 1)
        asking = self._participant.asking
        return self._lease(await asking.acquire("p", "lock", self._ttl, self._max_hold, may_wait=may_wait))
