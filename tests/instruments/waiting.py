"""Waits for what a test can observe, with a deadline: never for a time that ought to be long enough."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.concurrency import Lease

T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T]], satisfied: Callable[[T], bool], seconds: float = 30.0) -> T:
    """Look again and again until what is seen satisfies; AssertionError with the last look after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        seen = await look()
        if satisfied(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"still {seen!r} after {seconds:g} s")
        await asyncio.sleep(0.002)


async def renewed(lease: Lease) -> None:
    """Wait until a lease has longer than at the look before: a late renewal may leave it less than it had at first."""
    last = math.inf

    async def has_longer() -> bool:
        nonlocal last
        before, last = last, lease.seconds_left
        return last > before

    await until(has_longer, bool)


async def resolved(answer: Awaitable[T] | T) -> T:
    """An answer of redis-py, which types one client for both worlds."""
    return await answer if isinstance(answer, Awaitable) else answer
