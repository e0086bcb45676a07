"""asyncio's Lock, Semaphore, Event, Condition and Barrier, and ours, behind one face each.

The faces are thin: what is synchronous in asyncio is awaited here.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from shared.concurrency import Barrier, Condition, Event, Lock, Semaphore, Session

KINDS: Final = ("asyncio", "ours")


async def done(result: Any) -> Any:
    """The result, awaited where it has to be."""
    return await result if inspect.isawaitable(result) else result


async def value_of(thing: Any, word: str) -> Any:
    """What is a property in asyncio, and may be a coroutine function here."""
    value = getattr(thing, word)
    return await done(value() if callable(value) else value)


@dataclass(frozen=True)
class Primitives:
    """The makers of one kind; each call makes one of the same name."""

    lock: Callable[[], Any]
    semaphore: Callable[[int], Any]
    event: Callable[[], Any]
    condition: Callable[[], Any]
    barrier: Callable[[int], Any]


Make = Callable[[], AbstractAsyncContextManager[Primitives]]


@asynccontextmanager
async def opened(kind: str, url: str, name: str) -> AsyncIterator[Primitives]:
    """The primitives of one kind."""
    if kind == "asyncio":
        yield Primitives(asyncio.Lock, asyncio.Semaphore, asyncio.Event, asyncio.Condition, asyncio.Barrier)
        return
    async with Session.open(url) as session:
        yield Primitives(
            lambda: Lock(session, f"{name}-lock"),
            lambda limit: Semaphore(session, f"{name}-semaphore", limit),
            lambda: Event(session, f"{name}-event"),
            lambda: Condition(session, f"{name}-condition"),
            lambda parties: Barrier(session, f"{name}-barrier", parties),
        )
