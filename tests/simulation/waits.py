"""The workload of waits: handlers that ask for another attempt which does not count, under the faults of queues.

A message waits as often as it must and is handled then, though it may fail no more than once. One whose precondition
never comes is a dead letter once it may wait no longer.
"""

import asyncio

from consumer.outcomes import Retry
from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue
from tests.simulation.consuming import SUM
from tests.simulation.contents import number_of
from tests.simulation.queues import Queues
from tests.simulation.world import Process, World

_NO_LIMIT = 1_000_000.0


class Waits(Queues):
    """Producers and consumer services of one bounded queue, whose handlers wait."""

    name = "waits"
    max_attempts = 1

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        # What a killed process held is no failure either.
        self._max_crashes = None

    async def _consume(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = Queue(session, "q", int, max_attempts=1, max_crashes=None)
            await Worker(queue, self._handle, concurrency=self.world.rng.choice([1, 3]), time_limit=_NO_LIMIT).run()

    async def _handle(self, delivery: Delivery[int]) -> None:
        rng, item = self.world.rng, delivery.item
        self._got[item] += 1
        if rng.random() < 0.3:
            await asyncio.sleep(rng.expovariate(20))
        if _never(item):
            raise Retry(0.05, counts=False, within=0.2)
        if self._got[item] <= item % 4:
            raise Retry(rng.choice([0.01, 0.05, 0.2]), counts=False)
        delivery.effects.hincrby(SUM, str(item))

    def look_at_rest(self) -> None:
        """What may be handled was, once; of the others each is a dead letter, that failed."""
        call = self.world.control.call
        counts = call("HGETALL", SUM)
        handled = {int(number): int(count) for number, count in zip(counts[::2], counts[1::2], strict=True)}
        letters = call("HVALS", self._keys["dead"])
        dead = sorted(number_of(letter.partition(b"\n")[2]) for letter in letters)
        self._look("failed though they only waited", {item for item in dead if not _never(item)})
        self._look("dead twice", {item for item in dead if dead.count(item) > 1})
        self._look("dead of something else", {1 for letter in letters if b'"failed"' not in letter})
        self._look("handled though they never might", set(filter(_never, handled)))
        self._look("effects not once", {item for item, count in handled.items() if count != 1})
        self._look("lost", self._put - set(handled) - set(dead) - self._forgiven)
        self._look("from nowhere", (set(handled) | set(dead)) - self._put - self._in_doubt)

    def _look(self, what: str, items: set[int]) -> None:
        if items:
            self.failures.append(f"{what} {sorted(items)[:5]}")


def _never(item: int) -> bool:
    return item % 10 == 7
