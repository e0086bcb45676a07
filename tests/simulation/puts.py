"""The workload of puts: every way to put, while the queue is shut down and reopened and the server's memory is full.

What a put said holds: one that returned arrives and has gone in once, one that was refused never arrives. At the end
the queue is at rest, and nobody waits.
"""

import asyncio
from itertools import count

from shared.concurrency import Queue, QueueFull, QueueShutDown, StaleDelivery
from tests.simulation.consuming import SUM, Consuming
from tests.simulation.contents import Contents
from tests.simulation.server import Server
from tests.simulation.workload import COUNTED
from tests.simulation.world import Process, World

_ITEMS = 120


class Puts(Consuming):
    """Producers and consumers of one bounded queue, and somebody who shuts it down and opens it again."""

    name = "puts"
    withstands = COUNTED

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._maxsize = world.rng.choice([1, 2, 5])
        self._items = count()
        self._most = world.plan.most(_ITEMS)
        self._put: set[int] = set()
        self._refused: set[int] = set()
        self._in_doubt: set[int] = set()
        self._back: set[int] = set()
        """What a loss of data leaves open: of these a put that was refused may have gone in before, or go in again."""
        self._futures: list[asyncio.Future[object]] = []
        self._server = Server(world)
        self.more_faults = [self._server.fill_memory, self._server.fill_memory, self._server.restart]
        self._producers = [world.start(f"producer{n}", self._produce) for n in range(world.plan.actors_of(2))]
        self._start_consumers(2)
        self._operator = world.start("operator", self._operate)

    # --- the processes ----------------------------------------------------------------------------------------------

    async def _produce(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = Queue(session, "q", int, maxsize=self._maxsize, max_attempts=999)
            await asyncio.gather(*(self._put_some(queue) for _ in range(self.world.rng.choice([2, 5]))))

    async def _put_some(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        while (item := next(self._items)) < self._most:
            draw = rng.random()
            try:
                async with asyncio.timeout(rng.random() * 0.3 if rng.random() < 0.2 else None):
                    if draw < 0.1:
                        await queue.put_nowait(item)
                    elif draw < 0.3:
                        await queue.put(item, id=str(item))
                    elif draw < 0.5:
                        self._futures.append(await queue.submit(item))
                    else:
                        await queue.put(item)
                self._put.add(item)
            except TimeoutError:
                self._in_doubt.add(item)
            except (QueueShutDown, QueueFull):
                self._refused.add(item)

    async def _get_all(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        while True:
            try:
                delivery = await queue.get()
            except QueueShutDown:
                await asyncio.sleep(0.05)
                continue
            self._got[delivery.item] += 1
            try:
                await asyncio.sleep(rng.expovariate(20))
                delivery.effects.hincrby(SUM, str(delivery.item))
                await delivery.ack()
            except StaleDelivery:
                pass

    async def _operate(self, process: Process) -> None:
        rng = self.world.rng
        async with self.session(process) as session:
            queue = Queue(session, "q", int)
            while not self.is_calm():
                await asyncio.sleep(rng.expovariate(1))
                await queue.shutdown()
                await asyncio.sleep(rng.choice([0.0, 0.0, 0.1]))
                await queue.reopen()

    def _lost(self, after: Contents) -> None:
        # A put that was refused since then waits there again, or is in; some are told only later that they were.
        self._back |= after.waiting | after.admitted
        # One that had gone in, and whose putter has not heard of it, is put again: a shutdown may refuse it now.
        self._back |= self._forgiven - self._put - self._refused - self._in_doubt

    # --- what the run asks ------------------------------------------------------------------------------------------

    def is_calm(self) -> bool:
        """Every put but the last ones has been decided."""
        return len(self._put) + len(self._in_doubt) + len(self._refused) >= self._most * 11 // 12

    def has_ended(self) -> bool:
        """Everything was put and settled, and those who put have left."""
        return all(one.is_finished for one in (*self._producers, self._operator))

    def look_at_rest(self) -> None:
        """What each put said holds."""
        call = self.world.control.call
        if lost := sorted(self._put - set(self._got) - self._forgiven - self._dead()):
            self.failures.append(f"lost {lost[:5]}")
        if false := sorted((self._refused & set(self._got)) - self._back):
            self.failures.append(f"refused, and went in {false[:5]}")
        counts = call("HGETALL", SUM)
        if twice := [item.decode() for item, made in zip(counts[::2], counts[1::2], strict=True) if made != b"1"]:
            self.failures.append(f"went in twice {twice[:5]}")

    def details(self) -> str:
        """The bound, and what became of the puts."""
        return (
            f"maxsize {self._maxsize} put {len(self._put)} refused {len(self._refused)} in doubt {len(self._in_doubt)} "
            f"full {self._server.full} restarts {self._server.restarts}"
        )
