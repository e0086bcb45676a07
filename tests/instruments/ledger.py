"""Ledger: puts, gets, effects, results and leases that run while servers fail, and what became of each.

Its sessions are those of several processes in one event loop: what they know of each other goes through the server.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from consumer.worker.worker import Worker
from shared.concurrency import ConcurrencyError, Delivery, LeaseLost, Lock, Queue, Session

TTL: Final = 3.0
_PUTTERS: Final = 4
_BOUND: Final = 200


@dataclass
class Account:
    """What a run came to."""

    acked: set[int] = field(default_factory=set)
    """Numbers whose put returned."""
    handled: set[int] = field(default_factory=set)
    effects: dict[int, int] = field(default_factory=dict)
    """Number -> how often its effect is in the data."""
    results: int = 0
    lost_results: int = 0
    tokens: list[int] = field(default_factory=list)
    """Fencing tokens, as they were granted."""

    @property
    def lost(self) -> set[int]:
        """Puts that returned, and that nobody handled in the end."""
        return self.acked - self.handled

    @property
    def not_once(self) -> dict[int, int]:
        """Effects of handled messages that are not there exactly once."""
        return {number: self.effects.get(number, 0) for number in self.handled if self.effects.get(number, 0) != 1}


class Ledger:
    """Use `running`."""

    def __init__(self, url: str, name: str, replicas: int) -> None:
        self._url = url
        self._name = name
        self._replicas = replicas
        self._numbers = itertools.count()
        self._stopping = False
        self.account: Final = Account()
        self.last_ack = 0.0
        """When a put returned last, by the loop's clock."""

    @property
    def seen(self) -> str:
        """The hash of the effects."""
        return f"{{{self._name}}}-seen"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it all inside the block; afterwards the account is complete."""
        async with contextlib.AsyncExitStack() as stack:

            async def session() -> Session:
                return await stack.enter_async_context(Session.open(self._url, ttl=TTL, replicas=self._replicas))

            putting, taking, submitting = await session(), await session(), await session()
            queue, asked = Queue(taking, self._name, int), Queue(taking, f"{self._name}-asked", int)
            workers = [Worker(queue, self._handle, concurrency=20), Worker(asked, self._answer, concurrency=20)]
            working = [asyncio.create_task(worker.run()) for worker in workers]
            doing = [
                *(asyncio.create_task(self._put(putting)) for _ in range(_PUTTERS)),
                asyncio.create_task(self._submit(submitting)),
                *(asyncio.create_task(self._hold(each)) for each in (putting, taking)),
            ]
            try:
                yield
                self._stopping = True
                async with asyncio.timeout(60):
                    await asyncio.gather(*doing)
                    await queue.join()
                    await asked.join()
            finally:
                for worker in workers:
                    worker.drain()
                for task in doing:
                    task.cancel()
                await asyncio.wait({*working, *doing}, timeout=30)
            for task in (*working, *doing):
                task.result()

    async def read_effects(self, client: Redis) -> None:
        """Read from the server what the effects came to."""
        found: dict[bytes, bytes] = await client.hgetall(self.seen)  # type: ignore[misc]  # redis-py's two worlds
        self.account.effects = {int(number): int(count) for number, count in found.items()}

    async def _put(self, session: Session) -> None:
        queue = Queue(session, self._name, int, maxsize=_BOUND)
        loop = asyncio.get_running_loop()
        while not self._stopping:
            number = next(self._numbers)
            await queue.put(number)
            self.account.acked.add(number)
            self.last_ack = loop.time()

    async def _handle(self, delivery: Delivery[int]) -> None:
        delivery.effects.hincrby(self.seen, delivery.item, 1)
        await delivery.ack()
        self.account.handled.add(delivery.item)

    async def _answer(self, delivery: Delivery[int]) -> int:
        return 2 * delivery.item

    async def _submit(self, session: Session) -> None:
        queue = Queue(session, f"{self._name}-asked", int)
        for number in itertools.count():
            if self._stopping:
                return
            try:
                assert await (await queue.submit(number)) == 2 * number
                self.account.results += 1
            except ConcurrencyError:
                self.account.lost_results += 1

    async def _hold(self, session: Session) -> None:
        while not self._stopping:
            with contextlib.suppress(LeaseLost):
                async with Lock(session, self._name) as lease:
                    self.account.tokens.append(lease.token)
                    await asyncio.sleep(0.001)  # held for a moment


def lines_of(account: Account) -> dict[str, Any]:
    """What a campaign prints."""
    return {
        "acked": len(account.acked), "lost": len(account.lost), "not once": len(account.not_once),
        "results": account.results, "lost results": account.lost_results, "leases": len(account.tokens),
    }  # fmt: skip
