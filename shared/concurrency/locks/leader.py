"""leader: one process at a time does what only one may do, and another takes over when it cannot go on."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType

from shared.concurrency.errors import LeaseLost
from shared.concurrency.locks.leases.lease import Lease
from shared.concurrency.locks.semaphore import Lock
from shared.concurrency.session.log import Log
from shared.concurrency.session.session import Session

log = Log("locks")


def leader(session: Session, name: str, *, ttl: float | None = None) -> AsyncIterator["Term"]:
    """Stand for leader of a name, again and again: each term is entered when this process leads.

        async for term in leader(session, "reports"):
            async with term as lease:
                await lead(lease.token)

    Candidates lead in order of arrival. When the lead is lost (the process was stopped, or cut off for longer than
    `ttl`, or somebody broke it by hand) the body is cancelled, which is logged, and the loop goes on: it stands again,
    behind the others. A body that ends gives back the lead, and the loop stands again, too: leave it with `break`. What
    a body raises ends the loop, and the lead. As with every lease, a process that is stopped does not know that it
    leads no more: hand the token to the store that is written to. `Lock(session, name).statistics()` says who leads.

    :raises ValueError: when an argument is out of range.
    :raises ConcurrencyError: when a term is entered: the session is closed, or the server refuses.
    """
    return _Terms(Lock(session, name, ttl=ttl), name)


class _Terms:
    """An iterator without an end that keeps nothing: it can be left at any time."""

    def __init__(self, lock: Lock, name: str) -> None:
        self._lock = lock
        self._name = name

    def __aiter__(self) -> "_Terms":
        return self

    async def __anext__(self) -> "Term":
        return Term(self._lock, self._name)


class Term:
    """One time in office: `async with` waits until this process leads."""

    def __init__(self, lock: Lock, name: str) -> None:
        """Use `leader`."""
        self._lock = lock
        self._name = name

    async def __aenter__(self) -> Lease:
        lease = await self._lock.__aenter__()
        log.info("this process leads", lease=self._name, token=lease.token)
        return lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        try:
            await self._lock.__aexit__(kind, error, traceback)
        except LeaseLost:
            # What the body raised because it was cancelled, or asked; anything else is its own, and must be seen.
            if error is not None and not isinstance(error, asyncio.CancelledError | LeaseLost):
                raise
            log.warning("this process leads no more", lease=self._name)
            return True
        return False
