"""Takes from a queue that has something, and says whether it is empty in all of its keys."""

import asyncio
from typing import Any, TypeVar

from shared.concurrency import Delivery, Queue
from tests.instruments import inside
from tests.instruments.order import OF_KEYS
from tests.instruments.waiting import until

T = TypeVar("T")


async def take(queue: Queue[T]) -> Delivery[T]:
    """The next message, which is there."""
    async with asyncio.timeout(40):
        return await queue.get()


async def items(queue: Queue[T]) -> list[T]:
    """All that is there and not in hands, each acknowledged before the next one is taken."""
    found: list[T] = []
    while True:
        seen = await queue.statistics()
        if seen.pending + seen.delayed == 0:
            return found
        async with asyncio.timeout(40), await queue.get() as item:
            found.append(item)


async def lengths(queue: Queue[Any]) -> dict[str, int]:
    """How much is in the keys of order, of those that are there."""
    found: dict[str, int] = {}
    for word in (*OF_KEYS, "once", "let_in", "bodies"):
        key = inside.member_at(queue).keys[word.replace(":", "_")].decode()
        kind = (await inside.command_at(queue, "TYPE", key)).decode()
        command = {"hash": "HLEN", "list": "LLEN", "zset": "ZCARD"}.get(kind)
        if command is not None:
            found[word] = await inside.command_at(queue, command, key)
    return found


async def at_rest(queue: Queue[Any]) -> None:
    """Wait until nothing is left in any key of order: only what was confirmed leaves `let_in`."""
    await until(lambda: lengths(queue), lambda found: not found)
