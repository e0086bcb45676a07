"""asyncio's Lock, Semaphore, Event and Condition, and ours, behind one face each.

The faces are thin: what is synchronous in asyncio is awaited here.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from shared.concurrency import Condition, Event, Lock, Semaphore, Session

KINDS: Final = ("asyncio", "ours")


async def done(result: Any) -> Any:
    """The result, awaited where it has to be."""
    return await result if inspect.isawaitable(result) else result


@dataclass(frozen=True)
class Primitives:
    """The makers of one kind; each call makes one of the same name."""

    lock: Callable[[], Any]
    semaphore: Callable[[int], Any]
    event: Callable[[], Any]
    condition: Callable[[], Any]


Make = Callable[[], AbstractAsyncContextManager[Primitives]]


@asynccontextmanager
async def opened(kind: str, url: str, name: str) -> AsyncIterator[Primitives]:
    """The primitives of one kind."""
    if kind == "asyncio":
        yield Primitives(asyncio.Lock, asyncio.Semaphore, asyncio.Event, asyncio.Condition)
        return
    async with Session.open(url) as session:
        yield Primitives(
            lambda: Lock(session, f"{name}-lock"),
            lambda limit: Semaphore(session, f"{name}-semaphore", limit),
            lambda: Event(session, f"{name}-event"),
            lambda: Condition(session, f"{name}-condition"),
        )
