"""Acquirable: the ways to ask for a lease - `async with`, or acquire() and release() by hand."""

import asyncio
from types import TracebackType
from typing import Generic, TypeVar, cast

from shared.concurrency.locks.leases.lease import Lease, tenure_of
from shared.concurrency.locks.leases.tenure import Tenure

L = TypeVar("L", bound=Lease)


class Acquirable(Generic[L]):
    """Asks for leases of one kind: for the body of an `async with`, or by hand."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin with nothing."""
        self._loop = loop
        self._bodies: list[Tenure] = []
        self._bare: list[Tenure] = []

    async def _grant(self, task: "asyncio.Task[object]") -> L:
        """Wait for a lease, asked for by this task."""
        raise NotImplementedError

    async def locked(self) -> bool:
        """Whether `acquire` would have to wait. One round trip; it may be otherwise when you have read it."""
        raise NotImplementedError

    def _task(self) -> "asyncio.Task[object]":
        return cast("asyncio.Task[object]", asyncio.current_task(self._loop))

    async def acquire(self) -> L:
        """Wait for a lease, first come first served. Cancelled: it leaves no trace. An outage is waited out.

        Nothing is cancelled when it is lost: `check()` and `release()` raise then.

        :raises ValueError: when the name is in use as another kind of lease.
        :raises RuntimeError: when this task would wait for the end of its own `async with`.
        :raises ConcurrencyError: when the session is closed, or the server refuses.
        """
        lease = await self._grant(self._task())
        self._bare = [bare for bare in self._bare if not bare.ended]
        self._bare.append(tenure_of(lease))
        return lease

    async def release(self) -> None:
        """Give back the oldest lease of this object that was acquired by hand. Waits for the server's answer.

        :raises RuntimeError: when there is none.
        :raises LeaseLost: when it was lost.
        """
        while self._bare:
            tenure = self._bare.pop(0)
            if not tenure.ended:
                await tenure.release()
                return
        raise RuntimeError("release() of a lease that was not acquired: there is none of this object to give back")

    async def __aenter__(self) -> L:
        task = self._task()
        lease = await self._grant(task)
        tenure = tenure_of(lease)
        tenure.begin(task)
        self._bodies.append(tenure)
        return lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        bodies = self._bodies
        tenure = bodies[-1]
        if len(bodies) > 1:
            # Several tasks are inside; a hold may be left from another task, too.
            task = self._task()
            tenure = next((one for one in reversed(bodies) if one.task is task), tenure)
        bodies.remove(tenure)
        await tenure.leave(error)
