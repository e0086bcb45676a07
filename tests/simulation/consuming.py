"""What workloads of one queue share: its consumers, which are killed and replaced, and what its losses take."""

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable

from shared.concurrency import Queue
from shared.concurrency.queues.membership.keys import queue_keys
from tests.simulation.contents import Contents, contents, number_of
from tests.simulation.resting import Resting
from tests.simulation.world import Process, World

SUM = "{q}:sum"
"""Message -> its effects."""


class Consuming(Resting):
    """A workload of one queue, whose consumers may be killed, and take until all is done."""

    getters = (1, 3)
    """How many tasks of a consumer get: one of these."""

    def __init__(self, world: World, ttl: float) -> None:
        """Start no process yet."""
        super().__init__(world, ttl)
        self._keys = queue_keys("q")
        self._max_crashes: int | None = 5
        self._got: Counter[int] = Counter()
        self._forgiven: set[int] = set()
        """What the server has lost: it may never arrive."""
        self.ledger = self.ledgers["q"]

    def _start_consumers(self, number: int) -> None:
        for n in range(self.world.plan.actors_of(number)):
            self.start(f"consumer{n}", self._consume, may_die=True)

    async def _consume(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = Queue(session, "q", int, max_attempts=999, max_crashes=self._max_crashes)
            await asyncio.gather(*(self._get_all(queue) for _ in range(self.world.rng.choice(self.getters))))

    @abstractmethod
    async def _get_all(self, queue: Queue[int]) -> None: ...

    def _there(self) -> Contents:
        return contents(self.world.control, self._keys, SUM)

    def loss(self) -> Callable[[], None]:
        """What was there and is not any more is forgiven; what is there again arrives again."""
        before = self._there()

        def note() -> None:
            after = self._there()
            self._forgiven |= (before.admitted | set(self._got)) - after.admitted
            self._forgiven -= after.there
            for number in after.there:
                self._got.pop(number, None)
            self.ledger.forget()
            self._lost(after)

        return note

    def _close(self) -> None:
        """Have the consumers end, as services that are told to."""
        super()._close()
        for consumer in self.victims():
            self.world.current = consumer
            consumer.task.cancel()

    def _lost(self, after: Contents) -> None:
        """What else the loss of data takes from what this workload knows."""

    def _dead(self) -> set[int]:
        """The dead letters; five kills make one, which may have been leased without being seen."""
        return {
            number_of(letter.partition(b"\n")[2]) for letter in self.world.control.call("HVALS", self._keys["dead"])
        }
