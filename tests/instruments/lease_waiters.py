"""Who waits for a lease, and a lease that the server forgets."""

import asyncio
from contextvars import Context
from typing import Any

from redis.asyncio import Redis

from shared.concurrency import (
    LeaseStatistics,
    Lock,
    ReadersWritersLease,
    Semaphore,
    Session,
)
from shared.concurrency.locks.leases.acquirable import Acquirable
from shared.concurrency.locks.leases.keys import lease_keys
from tests.instruments import inside
from tests.instruments.waiting import until


async def waiters(lease: Lock | Semaphore | ReadersWritersLease, count: int) -> LeaseStatistics:
    """Until so many wait."""
    return await until(lease.statistics, lambda now: len(now.waiters) == count)


class Waiters:
    """Tasks that wait for a lease one behind the other, and the order in which they got it."""

    def __init__(self, lease: Lock | Semaphore | ReadersWritersLease) -> None:
        self._lease = lease
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.may_leave: dict[str, asyncio.Event] = {}

    async def join(self, who: str, claim: Acquirable[Any]) -> None:
        """Have somebody wait, behind those who wait already."""
        before = len((await self._lease.statistics()).waiters)
        self.may_leave[who] = asyncio.Event()
        # No child of whoever reads here: that one would join its parent.
        self.tasks.append(asyncio.create_task(self._hold(who, claim), context=Context()))
        await waiters(self._lease, before + 1)

    async def _hold(self, who: str, claim: Acquirable[Any]) -> None:
        async with claim:
            self.order.append(who)
            await self.may_leave[who].wait()

    async def come(self, count: int) -> None:
        """Until so many have come in so far."""

        async def look() -> int:
            return len(self.order)

        await until(look, lambda seen: seen >= count)

    async def inside(self, *who: str) -> None:
        """Until these, and nobody else, have come in so far."""

        async def look() -> list[str]:
            return sorted(self.order)

        await until(look, lambda order: order == sorted(who))

    async def end(self) -> None:
        for event in self.may_leave.values():
            event.set()
        await asyncio.gather(*self.tasks)


async def forget(client: Redis, session: Session, name: str) -> None:
    """Have the server forget a lease, and the session notice at its next renewal, which is asked for."""
    await client.delete(*lease_keys(name).values())
    inside.renew_now(session)
