"""This project's Lock, and the local readers of its readers-writers lease."""

import asyncio
import time
from contextlib import AsyncExitStack

from shared.concurrency import Lease, Lock, ReadersWritersLease, Session


class Client:
    """A session and its lock; closed with the process."""

    def __init__(self, stack: AsyncExitStack, session: Session) -> None:
        """Prepare."""
        self._stack = stack
        self._lock = Lock(session, "bench")
        self.session = session

    async def acquire(self) -> Lease:
        """Wait for the lock."""
        return await self._lock.acquire()

    @staticmethod
    async def release(lease: Lease) -> None:
        """Release the lock."""
        await lease.release()


async def open(url: str) -> Client:  # noqa: A001  # the name that the harness calls
    """Connect."""
    stack = AsyncExitStack()
    return Client(stack, await stack.enter_async_context(Session.open(url)))


async def reads(client: Client, count: int) -> float:
    """Enter and leave `count` read holds while another one is held; returns the seconds."""
    catalog = ReadersWritersLease(client.session, "bench-catalog")
    async with catalog.read():
        await asyncio.sleep(0)
        started = time.perf_counter()
        for _ in range(count):
            async with catalog.read():
                pass
        return time.perf_counter() - started
