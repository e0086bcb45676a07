"""The workload of letters: that of queues, with ids and batches, and dead letters that are put back and deleted.

Messages fail for good, and by hand; somebody puts them back as room allows. Every message that was put is acknowledged
once in the end, or was deleted, or the server has lost it, whatever was killed.
"""

import asyncio
from itertools import islice
from typing import Any, Final

from shared.concurrency import EffectRefused, Queue, Session, StaleDelivery
from tests.simulation.blocks import Blocks
from tests.simulation.leftovers import dead_letters
from tests.simulation.resting import Resting
from tests.simulation.server import Server
from tests.simulation.workload import COUNTED
from tests.simulation.world import Process, World

_MESSAGES: Final = 80
_COUNTS: Final = "{q}:counts"


class Letters(Resting):
    """Producers and consumers of one bounded queue, and two who look after its dead letters."""

    name = "letters"
    withstands = COUNTED

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._maxsize = world.rng.choice([1, 3, 20])
        self._messages = world.plan.most(_MESSAGES)
        self._numbers = iter(range(self._messages))
        self._begun: set[int] = set()
        self._put: set[int] = set()
        self._discarded: set[int] = set()
        self._replayed = 0
        self._server = Server(world)
        self.more_faults = [self._server.restart, self._server.fill_memory, Blocks(world, ttl * 2.5).strike]
        few = range(world.plan.actors_of(2))
        self._producers = [self.start(f"producer{n}", self._produce) for n in few]
        for n in few:
            self.start(f"consumer{n}", self._consume, may_die=True)
            self.start(f"undertaker{n}", self._undertake, may_die=True)

    def _queue(self, session: Session) -> Queue[int]:
        return Queue(session, "q", int, maxsize=self._maxsize, max_attempts=2, max_crashes=2)

    async def _produce(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = self._queue(session)
            await asyncio.gather(*(self._put_some(queue) for _ in range(self.world.rng.choice([1, 4]))))

    async def _put_some(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        for number in self._numbers:
            numbers = [number]
            try:
                if rng.random() < 0.3:
                    numbers += islice(self._numbers, rng.choice([1, 9]))
                    self._begun.update(numbers)
                    async with asyncio.timeout(rng.random() if rng.random() < 0.2 else None):
                        await queue.put_many(numbers)
                else:
                    self._begun.add(number)
                    await self._put_until_in(queue, number)
                self._put.update(numbers)
            except TimeoutError:
                pass  # nobody knows

    async def _put_until_in(self, queue: Queue[int], number: int) -> None:
        """As whoever repeats under the same id what was cut short."""
        rng = self.world.rng
        while True:
            try:
                async with asyncio.timeout(rng.random() * 0.2 if rng.random() < 0.3 else None):
                    await queue.put(number, id=f"n{number}")
            except TimeoutError:
                continue
            return

    async def _consume(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = self._queue(session)
            await asyncio.gather(*(self._get_all(queue) for _ in range(self.world.rng.choice([1, 4]))))

    async def _get_all(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        while not self.is_closing:
            try:
                async with asyncio.timeout(0.5):
                    delivery = await queue.get()
            except TimeoutError:
                continue
            await asyncio.sleep(rng.expovariate(20) if rng.random() < 0.3 else 0)
            draw = rng.random()
            try:
                if draw < 0.3:
                    await delivery.nack(delay=rng.choice([0.0, 0.0, 0.1]))
                elif draw < 0.4:
                    await delivery.dead_letter("so")
                else:
                    delivery.effects.hincrby(_COUNTS, str(delivery.item))
                    await delivery.ack()
            except (StaleDelivery, EffectRefused):
                pass

    async def _undertake(self, process: Process) -> None:
        rng = self.world.rng
        async with self.session(process) as session:
            queue = self._queue(session)
            while not self.is_closing:
                await asyncio.sleep(rng.expovariate(3))
                letters = await queue.dead_letters(5)
                if letters and rng.random() < 0.1:
                    self._discarded.add(int(letters[0].body))
                    await queue.discard([letters[0].key])
                elif letters and rng.random() < 0.5:
                    self._replayed += await queue.replay([letter.key for letter in letters])
                else:
                    self._replayed += await queue.replay()

    # --- what the run asks ------------------------------------------------------------------------------------------

    def is_calm(self) -> bool:
        """All puts have begun."""
        return len(self._begun) >= self._messages

    def has_ended(self) -> bool:
        """Everything was put."""
        return all(one.is_finished for one in self._producers)

    def has_more(self) -> dict[str, Any]:
        """The dead letters: all of them are put back, or deleted."""
        left = dead_letters(self.world, "q")
        return {"dead": left} if left else {}

    def look_at_rest(self) -> None:
        """Each was acknowledged once, or deleted."""
        flat = self.world.control.call("HGETALL", _COUNTS)
        ended = {int(number): int(times) for number, times in zip(flat[::2], flat[1::2], strict=True)}
        found = {
            "effects not once": {number for number, times in ended.items() if times != 1},
            "lost": self._put - set(ended) - self._discarded - self.forgiven["q"].gone,
            "from nowhere": set(ended) - self._begun,
        }
        self.failures += [f"{what} {sorted(numbers)[:5]}" for what, numbers in found.items() if numbers]

    def details(self) -> str:
        """The bound, and what became of the puts."""
        return (
            f"maxsize {self._maxsize} put {len(self._put)} replayed {self._replayed} discarded {len(self._discarded)} "
            f"restarts {self._server.restarts} full {self._server.full} losses {self.forgiven['q'].losses} {super().details()}"
        )
