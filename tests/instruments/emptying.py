"""Takes what is in a queue and acknowledges it."""

import asyncio
import contextlib
from typing import Any, TypeVar

from shared.concurrency import Queue, QueueEmpty

T = TypeVar("T")


async def take(queue: Queue[T], count: int = 1, seconds: float = 60.0) -> list[T]:
    """Wait for so many and acknowledge each; what was in them, in order."""
    items: list[T] = []
    async with asyncio.timeout(seconds):
        while len(items) < count:
            async with await queue.get() as item:
                items.append(item)
    return items


async def drain(queue: Queue[Any]) -> list[Any]:
    """Take and acknowledge all that can be taken now; what was in it, in order."""
    items = []
    with contextlib.suppress(QueueEmpty):
        while True:
            async with await queue.get_nowait() as item:
                items.append(item)
    return items
