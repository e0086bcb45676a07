"""What workloads of one queue share: its consumers, which are killed and replaced, and what is left in it."""

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable

from shared.concurrency import Queue, Session
from shared.concurrency.queues.membership.keys import queue_keys
from tests.simulation.contents import Contents, contents, number_of
from tests.simulation.ledger import Ledger
from tests.simulation.workload import Workload
from tests.simulation.world import Process, World

_URL = "redis://simulated/0"
SUM = "{q}:sum"
"""Message -> its effects."""


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
        self._got: Counter[int] = Counter()
        self._forgiven: set[int] = set()
        """What the server has lost: it may never arrive."""
        self.ledger = Ledger(world, "q", self.failures)

    def _start_consumers(self, number: int) -> None:
        few = range(self.world.plan.actors_of(number))
        self._consumers = [self.world.start(f"consumer{n}", self._consume) for n in few]

    async def _consume(self, _process: Process) -> None:
        async with Session.open(_URL, ttl=self._ttl, connect_timeout=1000) as session:
            queue = Queue(session, "q", int, max_attempts=999, max_crashes=self._max_crashes)
            await asyncio.gather(*(self._get_all(queue) for _ in range(self.world.rng.choice(self.getters))))

    @abstractmethod
    async def _get_all(self, queue: Queue[int]) -> None: ...

    def _contents(self) -> Contents:
        return contents(self.world.control, self._keys, SUM)

    def loss(self) -> Callable[[], None]:
        """What was there and is not any more is forgiven; what is there again arrives again."""
        before = self._contents()

        def note() -> None:
            after = self._contents()
            self._forgiven |= (before.admitted | set(self._got)) - after.admitted
            self._forgiven -= after.there
            for number in after.there:
                self._got.pop(number, None)
            self.ledger.forget()
            self._lost(after)

        return note

    def _lost(self, after: Contents) -> None:
        """What else the loss of data takes from what this workload knows."""

    def _dead(self) -> set[int]:
        """The dead letters; five kills make one, which may have been leased without being seen."""
        return {
            number_of(letter.partition(b"\n")[2]) for letter in self.world.control.call("HVALS", self._keys["dead"])
        }

    def victims(self) -> list[Process]:
        """Consumers; what a killed producer was told is not known."""
        return [one for one in self._consumers if not one.is_dead]

    def replace(self, killed: Process) -> None:
        """Another consumer."""
        self._consumers.remove(killed)
        self._consumers.append(self.world.start(f"consumer{len(self.world.processes)}", self._consume))

    def _left(self) -> int:
        calls, keys = self.world.control.calls, self._keys
        lists = [("LLEN", keys[word]) for word in ("pending", "released", "returned", "suspects", "putters")]
        hashes = [("HLEN", keys[word]) for word in ("behind", "passed")]
        sets = [("ZCARD", keys[word]) for word in ("line_own", "line_fair", "ready", "delayed")]
        handed, leased, *counts = calls(("HVALS", keys["handed"]), ("KEYS", "{q}:leased:*"), *lists, *hashes, *sets)
        counts += calls(*(("HLEN", key) for key in leased))
        counts += [entry != b"" for entry in handed]
        return sum(map(int, counts))
