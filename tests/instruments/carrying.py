"""Work that goes on while a Cluster changes: messages are counted, leases held, results waited for."""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from shared.concurrency import ConcurrencyError, LeaseLost, Lock, Queue, Session
from tests.instruments.waiting import until

log = logging.getLogger("tests")


class Carried:
    """What was put and got under some names by two sessions, and for how long nothing was.

    The log says it at the end, for people: `-o log_cli_level=INFO`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Begin with nothing."""
        self.put: Counter[tuple[str, int]] = Counter()
        """Puts that returned."""
        self.got: Counter[tuple[str, int]] = Counter()
        """Deliveries that were acknowledged."""
        self.put_at: dict[tuple[str, int], float] = {}
        """When the put returned, by the clock of this machine."""
        self.results = 0
        self.results_lost = 0
        self.leases_lost = 0
        self.standstill: dict[str, float] = dict.fromkeys(names, 0.0)
        """Name -> the longest time, in seconds, between two messages."""
        self._counted: Counter[str] = Counter()
        self._last = dict.fromkeys(names, time.monotonic())

    def report(self) -> None:
        """Say in the log how it went."""
        log.info(
            "put %d, lost %d, got again %d, results %d, lost %d, leases lost %d, longest standstill %s",
            len(self.put), len(self.put - self.got), sum((self.got - self.put).values()), self.results,
            self.results_lost, self.leases_lost, {name: round(each, 2) for name, each in self.standstill.items()},
        )  # fmt: skip

    async def goes_on(self, name: str, count: int = 20) -> None:
        """Wait until so many more messages of a name went through."""
        goal = self._counted[name] + count

        async def counted() -> int:
            return self._counted[name]

        await until(counted, lambda seen: seen >= goal, 60)

    def note(self, name: str) -> None:
        """A message of this name went through."""
        now = time.monotonic()
        self.standstill[name] = max(self.standstill[name], now - self._last[name])
        self._last[name] = now
        self._counted[name] += 1


class Carrier:
    """Puts numbers into queues, gets them in another session, submits for results, and holds locks in turn."""

    def __init__(self, producer: Session, consumer: Session, names: Sequence[str]) -> None:
        """Prepare; `work` runs it."""
        self.carried = Carried(names)
        self._names = names
        self._producer = producer
        self._consumer = consumer
        self._ends = asyncio.Event()
        self._guarded = dict.fromkeys(names, 0)

    @contextlib.asynccontextmanager
    async def work(self) -> AsyncIterator[Carried]:
        """Work while the block runs; then everything that was put is waited for."""
        puts = [asyncio.create_task(self._put(name)) for name in self._names]
        others = [
            asyncio.create_task(work(name)) for name in self._names for work in (self._get, self._answer, self._submit)
        ]
        locks = [asyncio.create_task(self._lock(at, n)) for n in self._names for at in (self._producer, self._consumer)]
        try:
            yield self.carried
            self._ends.set()
            async with asyncio.timeout(60):
                await asyncio.gather(*puts, *locks)
                for name in self._names:
                    await Queue(self._producer, name, int).join()
            self.carried.report()
        finally:
            for task in (*puts, *others, *locks):
                task.cancel()
            ended = await asyncio.gather(*puts, *others, *locks, return_exceptions=True)
        for failure in ended:
            if isinstance(failure, Exception):
                raise failure

    async def _put(self, name: str) -> None:
        queue, number = Queue(self._producer, name, int, maxsize=10), 0
        while not self._ends.is_set():
            await queue.put(number, id=f"{number}")
            self.carried.put[name, number] += 1
            self.carried.put_at[name, number] = time.monotonic()
            number += 1

    async def _get(self, name: str) -> None:
        queue = Queue(self._consumer, name, int)
        while True:
            try:
                async with await queue.get() as number:
                    pass
            except LeaseLost:
                continue  # it comes again
            self.carried.got[name, number] += 1
            self.carried.note(name)

    async def _answer(self, name: str) -> None:
        queue = Queue(self._consumer, "asked", int, group=name)
        while True:
            with contextlib.suppress(LeaseLost):
                delivery = await queue.get()
                await delivery.ack(result=delivery.item * 2)

    async def _submit(self, name: str) -> None:
        queue, number = Queue(self._producer, "asked", int, group=name), 0
        while not self._ends.is_set():
            try:
                assert await (await queue.submit(number)) == number * 2
                self.carried.results += 1
            except ConcurrencyError:
                self.carried.results_lost += 1
            number += 1
            await asyncio.sleep(0.01)

    async def _lock(self, session: Session, name: str) -> None:
        while not self._ends.is_set():
            try:
                async with Lock(session, name):
                    self._guarded[name] += 1
                    assert self._guarded[name] == 1, "two hold the lock"
                    try:
                        await asyncio.sleep(0.02)
                    finally:
                        self._guarded[name] -= 1
            except LeaseLost:
                self.carried.leases_lost += 1
