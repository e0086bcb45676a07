"""What workloads of one queue share: its consumers, which are killed and replaced, and what is left in it."""

import asyncio
from abc import abstractmethod

from shared.concurrency import Queue, Session
from shared.concurrency.queues.membership.keys import queue_keys
from tests.simulation.run import Workload
from tests.simulation.world import Process, World

_URL = "redis://simulated/0"


class Consuming(Workload):
    """A workload of one queue, whose consumers may be killed."""

    getters = (1, 3)
    """How many tasks of a consumer get: one of these."""

    def __init__(self, world: World, ttl: float) -> None:
        """Start no process yet."""
        super().__init__(world)
        self._ttl = ttl
        self._keys = queue_keys("q")
        self._max_crashes: int | None = 5
        self._consumers: list[Process] = []

    def _start_consumers(self, number: int) -> None:
        self._consumers = [self.world.start(f"consumer{n}", self._consume) for n in range(number)]

    async def _consume(self, _process: Process) -> None:
        async with Session.open(_URL, ttl=self._ttl, connect_timeout=1000) as session:
            queue = Queue(session, "q", int, max_attempts=999, max_crashes=self._max_crashes)
            await asyncio.gather(*(self._get_all(queue) for _ in range(self.world.rng.choice(self.getters))))

    @abstractmethod
    async def _get_all(self, queue: Queue[int]) -> None: ...

    def victims(self) -> list[Process]:
        """Consumers; what a killed producer was told is not known."""
        return [one for one in self._consumers if not one.is_dead]

    def replace(self, killed: Process) -> None:
        """Another consumer."""
        self._consumers.remove(killed)
        self._consumers.append(self.world.start(f"consumer{len(self.world.processes)}", self._consume))

    def _left(self) -> int:
        call, keys = self.world.control.call, self._keys
        lists = sum(call("LLEN", keys[word]) for word in ("pending", "released", "returned", "suspects", "putters"))
        behind = sum(call("HLEN", keys[word]) for word in ("behind", "passed")) + sum(
            call("ZCARD", keys[word]) for word in ("line_own", "line_fair", "ready")
        )
        leased = sum(call("HLEN", key) for key in call("KEYS", "{q}:leased:*"))
        handed = sum(entry != b"" for entry in call("HVALS", keys["handed"]))
        return int(lists + behind + call("ZCARD", keys["delayed"]) + leased + handed)
