"""Two processes in a fixed order, though the second starts first."""

import asyncio
import secrets
from typing import Any

import redis.asyncio

from examples.processes import in_processes
from examples.server import server
from shared.concurrency import Event, Session


async def first(url: str, name: str) -> None:
    """Do what must come first."""
    async with Session.open(url) as session, redis.asyncio.Redis.from_url(url) as client:
        await Event(session, f"{name}-begun").wait()  # so that the second certainly waits
        writing: Any = client.rpush(f"{{{name}}}:diary", "first")
        await writing
        await Event(session, f"{name}-done").set()


async def second(url: str, name: str) -> None:
    """Do what must come second."""
    async with Session.open(url) as session, redis.asyncio.Redis.from_url(url) as client:
        waiting = asyncio.create_task(Event(session, f"{name}-done").wait())
        await Event(session, f"{name}-begun").set()
        await waiting
        writing: Any = client.rpush(f"{{{name}}}:diary", "second")
        await writing


async def read(url: str, name: str) -> list[str]:
    """Return the diary, and leave nothing behind."""
    async with Session.open(url) as session, redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
        reading: Any = client.lrange(f"{{{name}}}:diary", 0, -1)
        diary: list[str] = await reading
        await client.delete(f"{{{name}}}:diary")
        for word in ("begun", "done"):
            await Event(session, f"{name}-{word}").clear()
        return diary


def main() -> None:
    """The second starts first."""
    name = f"order-{secrets.token_hex(4)}"
    with server() as url:
        in_processes((second, (url, name)), (first, (url, name)))
        print(*asyncio.run(read(url, name)))


if __name__ == "__main__":
    main()
