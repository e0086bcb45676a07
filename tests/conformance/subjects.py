"""asyncio.Queue and ours behind one face, for cases that must hold for both.

The face is thin: `get` hands out a Taken, for asyncio says task_done() on the queue and we say ack() on the delivery.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from redis.asyncio import Redis

from shared.concurrency import Delivery, Queue, QueueShutDown, Session
from tests.instruments.inside import session_of
from tests.instruments.waiting import until

SHUT_DOWN: Final[type[Exception]] = getattr(asyncio, "QueueShutDown", QueueShutDown)
"""What a shut down queue raises: asyncio's own, where Python has it."""


class Taken:
    """One item in somebody's hands."""

    def __init__(self, item: int, done: Callable[[], Any]) -> None:
        """Keep the item, and how to say that it is done with."""
        self.item = item
        self._done = done

    async def done(self) -> None:
        """Say that it is done with."""
        answer = self._done()
        if answer is not None:
            await answer


class Subject(ABC):
    """A queue under test."""

    is_ours = True
    """Whether it is ours."""
    real: Any
    """The queue itself; of two of ours the one that is taken from."""

    @abstractmethod
    async def put(self, item: int) -> None: ...

    @abstractmethod
    async def put_nowait(self, item: int) -> None: ...

    @abstractmethod
    async def get(self) -> Taken: ...

    @abstractmethod
    async def get_nowait(self) -> Taken: ...

    @abstractmethod
    async def qsize(self) -> int: ...

    @abstractmethod
    async def join(self) -> None: ...

    @abstractmethod
    async def shutdown(self, *, immediate: bool = False) -> None: ...

    @abstractmethod
    async def putters(self) -> int:
        """How many puts wait."""

    @abstractmethod
    async def getters(self) -> int:
        """How many gets wait."""

    @abstractmethod
    async def size_of_another(self) -> int:
        """How many are in another queue that is made alike."""

    async def waiting_puts(self, count: int) -> None:
        """Return when so many puts wait."""
        await until(self.putters, lambda seen: seen == count)

    async def waiting_gets(self, count: int) -> None:
        """Return when so many gets wait."""
        await until(self.getters, lambda seen: seen == count)

    async def take(self) -> int:
        """Get an item and say at once that it is done with."""
        taken = await self.get()
        await taken.done()
        return taken.item


class Asyncio(Subject):
    """asyncio.Queue."""

    is_ours = False

    def __init__(self, maxsize: int) -> None:
        """Make one."""
        self.real: Any = asyncio.Queue[int](maxsize)

    async def put(self, item: int) -> None:
        await self.real.put(item)

    async def put_nowait(self, item: int) -> None:
        self.real.put_nowait(item)

    async def get(self) -> Taken:
        return Taken(await self.real.get(), self.real.task_done)

    async def get_nowait(self) -> Taken:
        return Taken(self.real.get_nowait(), self.real.task_done)

    async def qsize(self) -> int:
        size: int = self.real.qsize()
        return size

    async def join(self) -> None:
        await self.real.join()

    async def shutdown(self, *, immediate: bool = False) -> None:
        self.real.shutdown(immediate)

    async def putters(self) -> int:
        return sum(not putter.done() for putter in self.real._putters)

    async def getters(self) -> int:
        return sum(not getter.done() for getter in self.real._getters)

    async def size_of_another(self) -> int:
        return asyncio.Queue[int]().qsize()


class Ours(Subject):
    """Our queue, put into through one session and taken from through another (or the same)."""

    def __init__(self, putting: Session, taking: Session, client: Redis, name: str, maxsize: int) -> None:
        """Make one."""
        self._client = client
        self._getting = 0
        self._puts = Queue(putting, name, int, maxsize=maxsize)
        self.real = self._takes = Queue(taking, name, int, maxsize=maxsize)

    async def put(self, item: int) -> None:
        await self._puts.put(item)

    async def put_nowait(self, item: int) -> None:
        await self._puts.put_nowait(item)

    async def get(self) -> Taken:
        self._getting += 1
        try:
            return self._taken(await self._takes.get())
        finally:
            self._getting -= 1

    async def get_nowait(self) -> Taken:
        return self._taken(await self._takes.get_nowait())

    @staticmethod
    def _taken(delivery: Delivery[int]) -> Taken:
        return Taken(delivery.item, delivery.ack)

    async def qsize(self) -> int:
        return await self._takes.qsize()

    async def join(self) -> None:
        await self._puts.join()

    async def shutdown(self, *, immediate: bool = False) -> None:
        await self._puts.shutdown(immediate)

    async def putters(self) -> int:
        return (await self._takes.statistics()).puts_waiting

    async def getters(self) -> int:
        # They wait once the server has registered their session as idle.
        idle = await self._client.zcard(f"{{{self._takes.name}}}:idle")
        return self._getting if idle or not self._getting else -1

    async def size_of_another(self) -> int:
        return await Queue(session_of(self._puts), self._takes.name, int).qsize()


KINDS: Final = ("asyncio", "ours", "ours across sessions")


Make = Callable[[int], AbstractAsyncContextManager[Subject]]
"""Makes a queue with a bound."""


@asynccontextmanager
async def opened(kind: str, url: str, name: str, maxsize: int) -> AsyncIterator[Subject]:
    """A queue of one of the KINDS."""
    if kind == "asyncio":
        yield Asyncio(maxsize)
        return
    async with Redis.from_url(url, protocol=3) as client, Session.open(url) as putting:
        if kind == "ours":
            yield Ours(putting, putting, client, name, maxsize)
            return
        async with Session.open(url) as taking:
            yield Ours(putting, taking, client, name, maxsize)


async def drained(queue: Subject) -> list[int]:
    """All that can be taken now."""
    items = []
    with contextlib.suppress(asyncio.QueueEmpty):
        while True:
            taken = await queue.get_nowait()
            await taken.done()
            items.append(taken.item)
    return items
