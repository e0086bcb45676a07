"""What processes of lease tests do: each an async function that reports what happens."""

import asyncio

from shared.concurrency import Lock, Session
from tests.instruments.processes import report


async def lock(url: str, name: str, ttl: float) -> None:
    """Hold a lock until the process is killed; says `holds` with the token."""
    async with Session.open(url, ttl=ttl) as session, Lock(session, name) as lease:
        report("holds", lease.token)
        await asyncio.Event().wait()


async def many_waiters(url: str, name: str, ttl: float, count: int) -> None:
    """Have so many tasks wait for a lock, and hold it for ever."""
    async with Session.open(url, ttl=ttl) as session:

        async def wait() -> None:
            async with Lock(session, name):
                report("holds")
                await asyncio.Event().wait()

        await asyncio.gather(*(wait() for _ in range(count)))
