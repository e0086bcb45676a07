"""Across processes: two keys that must agree, three processes that read them and two that write them."""

import asyncio
import secrets
from typing import Any

import redis.asyncio

from examples.processes import in_processes
from examples.server import server
from shared.concurrency import ReadersWritersLease, Session


async def read(url: str, name: str) -> int:
    """Read fifty times; return how often the two did not agree."""
    torn = 0
    async with Session.open(url) as session, redis.asyncio.Redis.from_url(url) as client:
        lease = ReadersWritersLease(session, name)
        for _ in range(50):
            async with lease.read():
                left = await client.get(f"{{{name}}}:left")
                right = await client.get(f"{{{name}}}:right")
            torn += left != right
    return torn


async def write(url: str, name: str) -> int:
    """Write twenty times, in two steps."""
    async with Session.open(url) as session, redis.asyncio.Redis.from_url(url) as client:
        lease = ReadersWritersLease(session, name)
        for _ in range(20):
            async with lease.write():
                await client.incr(f"{{{name}}}:left")
                await asyncio.sleep(0.002)
                await client.incr(f"{{{name}}}:right")
    return 0


async def leave_nothing(url: str, name: str) -> int:
    """Delete the record; return what it held."""
    async with redis.asyncio.Redis.from_url(url) as client:
        stored: Any = await client.getdel(f"{{{name}}}:left")
        await client.delete(f"{{{name}}}:right")
        return int(stored)


def main() -> None:
    """Run five processes."""
    name = f"record-{secrets.token_hex(4)}"
    with server() as url:
        torn = in_processes(*[(read, (url, name))] * 3, *[(write, (url, name))] * 2)
        if asyncio.run(leave_nothing(url, name)) != 40:
            raise SystemExit("a write was lost")
    print("a reader was inside a write:", sum(torn) > 0)


if __name__ == "__main__":
    main()
