"""The workload of stages: three queues, one behind the other, through which messages go as forwarded puts.

Each acknowledgement writes, and puts into the next queue, in one step; where that has no room the put waits there while
its consumer is killed. Every message reaches the end once, and every write is made once. After each command there are
as many writes and forwarded puts as acknowledgements: whatever data the server comes back with, it has all three of a
message or none.
"""

import asyncio
from collections import Counter
from functools import partial
from itertools import islice
from typing import Final

from shared.concurrency import Delivery, EffectRefused, Queue, Session, StaleDelivery
from tests.simulation.resting import Resting
from tests.simulation.server import Server
from tests.simulation.workload import COUNTED
from tests.simulation.world import Process, World

_MESSAGES: Final = 80
_NAMES: Final = "abc"
_LONGEST: Final = 300.0
"""Seconds with faults."""


class Stages(Resting):
    """Producers of the first queue, and consumers of each, which are killed."""

    name = "stages"
    withstands = COUNTED
    queues = tuple(_NAMES)

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        rng = world.rng
        self._maxsize = {name: rng.choice([1, 2, 5, 0 if name == "a" else 20]) for name in _NAMES}
        self._messages = world.plan.most(_MESSAGES)
        self._numbers = iter(range(self._messages))
        self._put: set[int] = set()
        self._in_doubt: set[int] = set()
        self._server = Server(world)
        self.more_faults = [self._server.restart, self._server.fill_memory]
        self._getters = rng.choice([1, 3])
        self._spread = rng.choice([1, 3])
        """How many messages one becomes at the first stage."""
        world.checks.append(self._look_at_the_writes)
        few = range(world.plan.actors_of(2))
        self._producers = [self.start(f"producer{n}", self._produce) for n in few]
        for name in _NAMES:
            for n in few:
                self.start(f"consumer-{name}{n}", partial(self._consume, name), may_die=True)

    def _queues(self, session: Session) -> dict[str, Queue[int]]:
        return {
            name: Queue(session, name, int, maxsize=maxsize, max_attempts=999, max_crashes=None)
            for name, maxsize in self._maxsize.items()
        }

    def _look_at_the_writes(self) -> None:
        """An acknowledgement, its writes and its forwarded puts are one step."""
        found = self.world.control.calls(
            *(("HMGET", f"{{{name}}}:totals", "acked", "put") for name in _NAMES),
            *(("LLEN", f"{{{name}}}:list") for name in _NAMES),
        )
        count = len(_NAMES)
        acked = [int(acked or 0) for acked, _ in found[:count]]
        put = [int(put or 0) for _, put in found[:count]]
        forwarded = [put[0], acked[0] * self._spread, acked[1]]
        if found[count:] != acked or put != forwarded:
            self.failures.append(
                f"at {self.world.now:.3f} s {acked} acknowledged, {found[count:]} written; {put} put, {forwarded} forwarded"
            )

    # --- the processes ----------------------------------------------------------------------------------------------

    async def _produce(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = self._queues(session)["a"]
            await asyncio.gather(*(self._put_some(queue) for _ in range(self.world.rng.choice([1, 4]))))

    async def _put_some(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        for number in self._numbers:
            numbers = [number]
            try:
                async with asyncio.timeout(rng.random() * 0.1 if rng.random() < 0.1 else None):
                    if rng.random() < 0.2:
                        numbers += islice(self._numbers, rng.choice([1, 20]))
                        await queue.put_many(numbers)
                    else:
                        await queue.put(number, id=str(number) if rng.random() < 0.3 else None)
                self._put.update(numbers)
            except TimeoutError:
                self._in_doubt.update(numbers)

    async def _consume(self, name: str, process: Process) -> None:
        async with self.session(process) as session:
            queues = self._queues(session)
            await asyncio.gather(*(self._get_all(queues, name) for _ in range(self._getters)))

    async def _get_all(self, queues: dict[str, Queue[int]], name: str) -> None:
        rng = self.world.rng
        while not self.is_closing:
            try:
                async with asyncio.timeout(0.5):
                    delivery = await queues[name].get()
            except TimeoutError:
                continue
            if rng.random() < 0.2:
                await asyncio.sleep(rng.expovariate(20))
            try:
                if rng.random() < 0.08:
                    await delivery.nack(delay=rng.choice([0.0, 0.0, 0.05, 0.3]))
                else:
                    await self._acknowledge(queues, name, delivery)
            except (StaleDelivery, EffectRefused):
                pass

    async def _acknowledge(self, queues: dict[str, Queue[int]], name: str, delivery: Delivery[int]) -> None:
        self._write(queues, name, delivery)
        losses = self.forgiven[name].losses
        await delivery.ack()
        there = self.world.control.call("HEXISTS", f"{{{name}}}:counts", str(delivery.item))
        if not there and losses == self.forgiven[name].losses:
            self.failures.append(f"{delivery.item} is acknowledged in {name}, and not written")

    def _write(self, queues: dict[str, Queue[int]], name: str, delivery: Delivery[int]) -> None:
        effects, item = delivery.effects, delivery.item
        effects.hincrby(f"{{{name}}}:counts", str(item))
        effects.rpush(f"{{{name}}}:list", item)
        effects.incrby(f"{{{name}}}:sum", item)
        if name == "a":
            for part in range(self._spread):
                effects.put(queues["b"], item * self._spread + part)
        elif name == "b":
            effects.hset("{b}:last", {str(item): item, "last": item})
            effects.put(queues["c"], item)

    # --- what the run asks ------------------------------------------------------------------------------------------

    def is_calm(self) -> bool:
        """Everything was put; or those who are stopped all the time have had enough of it."""
        return len(self._put) + len(self._in_doubt) >= self._messages or self.world.now > _LONGEST

    def has_ended(self) -> bool:
        """Everything was put, and the producers have left."""
        return all(one.is_finished for one in self._producers)

    def look_at_rest(self) -> None:
        """Each went through all stages once, and wrote there once."""
        call = self.world.control.call
        came = {name: [int(item) for item in call("LRANGE", f"{{{name}}}:list", 0, -1)] for name in _NAMES}
        for name, items in came.items():
            counts = call("HGETALL", f"{{{name}}}:counts")
            counted = dict(zip(map(int, counts[::2]), map(int, counts[1::2]), strict=True))
            self._look(f"written to {name} not once", {item for item, times in Counter(items).items() if times != 1})
            self._look(f"counted in {name} not once", {item for item, times in counted.items() if times != 1})
            self._look(f"one of two writes in {name}", set(counted) ^ set(items))
            if sum(items) != int(call("GET", f"{{{name}}}:sum") or 0):
                self.failures.append(f"the sum of {name} is not that of its items")
            if call("HLEN", f"{{{name}}}:dead"):
                self.failures.append(f"dead letters in {name}, and none was to be")
        first = set(came["a"])
        self._look("lost", self._put - first - self.forgiven["a"].gone)
        self._look("from nowhere", first - self._put - self._in_doubt)
        parts = {item * self._spread + part for item in first for part in range(self._spread)}
        for name in "bc":
            self._look(f"lost on the way to {name}", parts - set(came[name]))
            self._look(f"from nowhere in {name}", set(came[name]) - parts)

    def _look(self, what: str, items: set[int]) -> None:
        if items:
            self.failures.append(f"{what} {sorted(items)[:5]}")

    def details(self) -> str:
        """The bounds, and what became of the puts."""
        return (
            f"maxsize {list(self._maxsize.values())} getters {self._getters} spread {self._spread} "
            f"put {len(self._put)} in doubt {len(self._in_doubt)} restarts {self._server.restarts} "
            f"full {self._server.full} losses {self.forgiven['a'].losses} {super().details()}"
        )
