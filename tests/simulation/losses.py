"""The workload of losses: the server comes back with older data, or with none, while a queue is used.

What was put since the last loss arrives, nobody waits for ever, and the queue comes to rest with counts that fit.
"""

import asyncio
from collections.abc import Callable
from itertools import count

from shared.concurrency import EffectRefused, Queue, StaleDelivery
from tests.simulation.consuming import Consuming
from tests.simulation.server import Server
from tests.simulation.workload import COUNTED
from tests.simulation.world import Process, World

_ITEMS = 150


class Losses(Consuming):
    """Producers and consumers of one bounded queue, and somebody who joins it at the end."""

    name = "losses"
    withstands = COUNTED

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._maxsize = world.rng.choice([1, 2, 5])
        self._items = count()
        self._most = world.plan.most(_ITEMS)
        self._begun: dict[int, float] = {}
        """Item whose put returned -> when that had begun."""
        self._in_doubt: set[int] = set()
        self._lost_at = -1.0
        self._losses = 0
        self._server = Server(world)
        self.more_faults = [self._server.save, self._lose_a_little, self._server.restart]
        if world.rng.random() < 0.5:
            self.more_faults.append(self._lose_all)
        self._producers = [world.start(f"producer{n}", self._produce) for n in range(world.plan.actors_of(2))]
        self._start_consumers(2)
        self._joiner = world.start("joiner", self._join)

    def _lose_a_little(self) -> None:
        self._note_loss()
        self._server.restart_with_saved_data()

    def _lose_all(self) -> None:
        self._note_loss()
        self._server.flush()

    def _note_loss(self) -> None:
        self._lost_at = self.world.now
        self._losses += 1
        self.ledger.forget()

    def loss(self) -> Callable[[], None]:
        """All that was put by then may be lost."""
        return self._note_loss

    # --- the processes ----------------------------------------------------------------------------------------------

    async def _produce(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = Queue(session, "q", int, maxsize=self._maxsize, max_attempts=999)
            await asyncio.gather(*(self._put_some(queue) for _ in range(self.world.rng.choice([1, 5]))))

    async def _put_some(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        while (item := next(self._items)) < self._most:
            begun = self.world.now
            try:
                async with asyncio.timeout(rng.random() * 0.3 if rng.random() < 0.1 else None):
                    await queue.put(item, id=str(item) if rng.random() < 0.2 else None)
                self._begun[item] = begun
            except TimeoutError:
                self._in_doubt.add(item)

    async def _get_all(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        while True:
            delivery = await queue.get()
            self._got[delivery.item] += 1
            try:
                await asyncio.sleep(rng.expovariate(20))
                draw = rng.random()
                if draw < 0.1:
                    await delivery.nack(delay=rng.choice([0.0, 0.05]))
                    continue
                if draw < 0.5:
                    delivery.effects.hincrby("{q}:sum", str(delivery.item))
                await delivery.ack()
            except (StaleDelivery, EffectRefused):
                pass

    async def _join(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = Queue(session, "q", int)
            while not all(one.is_finished for one in self._producers):
                await queue.join()
                await asyncio.sleep(0.1)
            await queue.join()

    # --- what the run asks ------------------------------------------------------------------------------------------

    def is_calm(self) -> bool:
        """Most puts have been decided."""
        return len(self._begun) + len(self._in_doubt) >= self._most * 2 // 3

    def has_ended(self) -> bool:
        """Everything was put and settled, and whoever put or joined has left."""
        return all(one.is_finished for one in (*self._producers, self._joiner))

    def look_at_rest(self) -> None:
        """What was put since the last loss has arrived, and nothing came from nowhere."""
        arrived = set(self._got) | self._dead()
        lost = sorted(item for item, begun in self._begun.items() if begun > self._lost_at and item not in arrived)
        if lost:
            self.failures.append(f"lost {lost[:5]}")
        if ghosts := sorted(set(self._got) - set(self._begun) - self._in_doubt):
            self.failures.append(f"from nowhere {ghosts[:5]}")

    def details(self) -> str:
        """The bound, and what became of the puts."""
        return f"maxsize {self._maxsize} put {len(self._begun)} in doubt {len(self._in_doubt)} losses {self._losses}"
