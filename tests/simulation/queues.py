"""The workload of queues: puts, gets, acknowledgements with effects, nacks and waits, from several processes.

They are killed, stopped and cut off. Pending never exceeds maxsize. At the end nothing that was put is lost, nothing
came from nowhere, every effect was written once, and the queue is at rest.
"""

import asyncio
import contextlib
from typing import Any

from shared.concurrency import ConcurrencyError, EffectRefused, Queue, StaleDelivery
from shared.concurrency.queues.deliveries.handout import handout_of
from tests.simulation.consuming import SUM, Consuming
from tests.simulation.workload import COUNTED
from tests.simulation.world import Process, World

_MESSAGES = 100
_PRODUCERS = 2
_CONSUMERS = 3


class Queues(Consuming):
    """Producers and consumers of one bounded queue; consumers are killed."""

    name = "queues"
    withstands = COUNTED
    getters = (1, 5)
    max_attempts = 999

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._maxsize = world.rng.choice([1, 2, 5, 20])
        self._max_crashes = None if self._maxsize == 5 else 5
        self._messages = world.plan.most(_MESSAGES)
        self._numbers = iter(range(self._messages))
        self._put: set[int] = set()
        self._in_doubt: set[int] = set()
        self._top = 0
        world.checks.append(self._look_at_the_bound)
        self._producers = [world.start(f"producer{n}", self._produce) for n in range(world.plan.actors_of(_PRODUCERS))]
        self._start_consumers(_CONSUMERS)

    def _look_at_the_bound(self) -> None:
        pending = self.ledger.fresh
        self._top = max(self._top, pending)
        if pending > self._maxsize:
            self.failures.append(f"{pending} pending, and maxsize is {self._maxsize}")

    # --- what other workloads change ------------------------------------------------------------------------------

    def _asks(self, number: int) -> dict[str, Any]:  # noqa: ARG002
        """What a number asks of its way."""
        return {}

    def _sees(self, number: int) -> None:
        """Somebody was handed this number."""

    def _ends(self, number: int) -> None:
        """Somebody is about to acknowledge this number."""

    # --- the processes ----------------------------------------------------------------------------------------------

    async def _produce(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = Queue(
                session, "q", int, maxsize=self._maxsize, max_attempts=self.max_attempts, max_crashes=self._max_crashes
            )
            await asyncio.gather(*(self._put_some(queue) for _ in range(self.world.rng.choice([1, 4]))))

    async def _put_some(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        for number in self._numbers:
            asked = self._asks(number)
            try:
                async with asyncio.timeout(rng.random() * 0.05 if rng.random() < 0.15 else None):
                    await queue.put(number, **asked)
                self._put.add(number)
            except TimeoutError:
                self._in_doubt.add(number)
            except ConcurrencyError:
                self._in_doubt.add(number)
                raise

    async def _get_all(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        while True:
            try:
                async with asyncio.timeout(rng.random() * 0.05 if rng.random() < 0.1 else None):
                    delivery = await queue.get()
            except TimeoutError:
                continue
            self._got[delivery.item] += 1
            self._sees(delivery.item)
            try:
                if rng.random() < 0.3:
                    await asyncio.sleep(rng.expovariate(20))
                draw = rng.random()
                if draw < 0.03:
                    # Retry(after=, counts=False) of a handler: a long wait for a precondition is no failure.
                    await handout_of(delivery).settled("wait", f"{rng.choice([0, 50])} 3600000")
                elif draw < 0.08:
                    await delivery.nack(delay=rng.choice([0.0, 0.0, 0.05]))
                else:
                    if draw < 0.5:
                        delivery.effects.hincrby(SUM, str(delivery.item))
                    self._ends(delivery.item)
                    await delivery.ack()
            except EffectRefused:
                with contextlib.suppress(StaleDelivery):
                    await delivery.nack()
            except StaleDelivery:
                pass

    # --- what the run asks ------------------------------------------------------------------------------------------

    def is_calm(self) -> bool:
        """Everything was put."""
        return len(self._put) + len(self._in_doubt) >= self._messages

    def has_ended(self) -> bool:
        """Everything was put and settled, and the producers have left."""
        return self.is_calm() and all(one.is_finished for one in self._producers)

    def look_at_rest(self) -> None:
        """Nothing lost, nothing from nowhere, effects once."""
        call = self.world.control.call
        letters = call("HVALS", self._keys["dead"])
        if any(b"crashed" not in letter for letter in letters) or (letters and self._max_crashes is None):
            self.failures.append(f"dead letters, and none was to be: {letters[:2]!r}")
        if lost := sorted(self._put - set(self._got) - self._forgiven - self._dead()):
            self.failures.append(f"lost {lost[:5]}")
        if ghosts := sorted(set(self._got) - self._put - self._in_doubt):
            self.failures.append(f"from nowhere {ghosts[:5]}")
        counts = call("HGETALL", SUM)
        if twice := [number.decode() for number, count in zip(counts[::2], counts[1::2], strict=True) if count != b"1"]:
            self.failures.append(f"effects not once {twice[:5]}")

    def details(self) -> str:
        """The bound, and what became of the puts."""
        repeated = sum(count > 1 for count in self._got.values())
        return f"maxsize {self._maxsize} top {self._top} put {len(self._put)} in doubt {len(self._in_doubt)} repeated {repeated}"
