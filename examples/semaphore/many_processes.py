"""Ten users in five processes, of something that allows three at once."""

import asyncio
import secrets
from typing import Any

import redis.asyncio

from examples.processes import in_processes
from examples.server import server
from shared.concurrency import Event, Semaphore, Session

PROCESSES = 5


async def user(semaphore: Semaphore, client: "redis.asyncio.Redis", room: str) -> int:
    """Go in for a moment; return how many were inside."""
    async with semaphore:
        inside = int(await client.incr(room))
        await asyncio.sleep(0.2)
        await client.decr(room)
        return inside


async def users(url: str, name: str) -> int:
    """Run two users, who begin when all are there; return the most that they saw inside."""
    async with Session.open(url) as session, redis.asyncio.Redis.from_url(url) as client:
        semaphore, all_there = Semaphore(session, name, 3), Event(session, name)
        if await client.incr(f"{{{name}}}:present") == PROCESSES:
            await all_there.set()
        await all_there.wait()
        return max(await asyncio.gather(*(user(semaphore, client, f"{{{name}}}:inside") for _ in range(2))))


async def leave_nothing(url: str, name: str) -> None:
    """Delete the counters of the users."""
    async with Session.open(url) as session, redis.asyncio.Redis.from_url(url) as client:
        await Event(session, name).clear()
        deleted: Any = client.delete(f"{{{name}}}:present", f"{{{name}}}:inside")
        await deleted


def main() -> None:
    """Let ten users enter at once."""
    name = f"room-{secrets.token_hex(4)}"
    with server() as url:
        most = in_processes(*[(users, (url, name))] * PROCESSES)
        asyncio.run(leave_nothing(url, name))
    print("10 users were inside, at most", max(most), "at once")


if __name__ == "__main__":
    main()
