"""asyncio's Lock, Semaphore, BoundedSemaphore, Event, Condition and Barrier, and ours, behind one face each.

The faces are thin: what is synchronous in asyncio is awaited here. Each maker of ours makes objects of one name.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from shared.concurrency import Barrier, Condition, Event, Lock, Semaphore, Session
from shared.concurrency.locks.leases.keys import condition_keys
from tests.instruments.waiting import until

KINDS: Final = ("asyncio", "ours")


async def done(result: Any) -> Any:
    """The result, awaited where it has to be."""
    return await result if inspect.isawaitable(result) else result


async def value_of(thing: Any, word: str) -> Any:
    """What is a property in asyncio, and may be a coroutine function here."""
    value = getattr(thing, word)
    return await done(value() if callable(value) else value)


async def settled(*tasks: "asyncio.Task[Any]") -> None:
    """Let the others go on for a while; nothing is to happen, so there is nothing to wait for."""
    await asyncio.wait(tasks, timeout=0.1)


@dataclass(frozen=True)
class Primitives:
    """The makers of one kind, and who waits for what they made."""

    lock: Callable[[], Any]
    semaphore: Callable[[int], Any]
    bounded: Callable[[int], Any]
    event: Callable[[], Any]
    condition: Callable[[], Any]
    lock_of_condition: Callable[[], Any]
    """The lock of the condition's name; of asyncio's any lock."""
    barrier: Callable[[int], Any]
    client: "Redis | None" = None
    """The server of ours; None of asyncio's."""

    @property
    def are_ours(self) -> bool:
        """Whether they are ours."""
        return self.client is not None

    async def acquiring(self, thing: Any, count: int) -> None:
        """Return when so many wait for a lock, a semaphore or the lock of a condition."""

        async def look() -> int:
            if self.are_ours:
                return len((await thing.statistics()).waiters)
            waiters = getattr(thing, "_lock", thing)._waiters
            return sum(not waiter.done() for waiter in waiters or ())

        await until(look, lambda seen: seen == count)

    async def waiting(self, condition: Any, count: int) -> None:
        """Return when so many wait for a notification."""

        async def look() -> int:
            if self.client is None:
                return sum(not waiter.done() for waiter in condition._waiters)
            return int(await self.client.zcard(condition_keys(condition._participant.stored_name)["waiters"]))

        await until(look, lambda seen: seen == count)

    async def at_barrier(self, barrier: Any, count: int) -> None:
        """Return when so many wait at a barrier."""
        await until(lambda: value_of(barrier, "n_waiting"), lambda seen: seen == count)


@asynccontextmanager
async def opened(kind: str, url: str, name: str) -> AsyncIterator[Primitives]:
    """The primitives of one kind."""
    if kind == "asyncio":
        yield Primitives(
            asyncio.Lock,
            asyncio.Semaphore,
            asyncio.BoundedSemaphore,
            asyncio.Event,
            asyncio.Condition,
            asyncio.Lock,
            asyncio.Barrier,
        )
        return
    async with Redis.from_url(url, protocol=3) as client, Session.open(url) as session:

        def semaphore(limit: int) -> Semaphore:
            return Semaphore(session, f"{name}-semaphore", limit)

        yield Primitives(
            lambda: Lock(session, f"{name}-lock"),
            semaphore,
            semaphore,
            lambda: Event(session, f"{name}-event"),
            lambda: Condition(session, f"{name}-condition"),
            lambda: Lock(session, f"{name}-condition"),
            lambda parties: Barrier(session, f"{name}-barrier", parties),
            client,
        )
