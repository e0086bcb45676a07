"""The workload of cancels: messages are cancelled in every state; their consumers are killed, stopped and cut off.

Once a message is marked it begins only in an attempt that was delivered by then, and never again: a process that was
stopped meanwhile may find it only now. What a call said holds: what was removed or stopped is never acknowledged. What
nobody cancelled arrives. At the end the queue is at rest, without a mark.
"""

import asyncio
from collections import Counter
from typing import Any

from shared.concurrency import Cancellation, MessageCancelled, Queue, StaleDelivery
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.concurrency.queues.encoding.entry import attempt_of, key_of
from tests.simulation.consuming import SUM, Consuming
from tests.simulation.server import Server
from tests.simulation.world import Process, World

_MESSAGES = 100


class Cancels(Consuming):
    """Producers and consumers of one bounded queue, and two processes that cancel what was put, or is being put."""

    name = "cancels"

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._maxsize = world.rng.choice([1, 3, 20])
        self._messages = world.plan.most(_MESSAGES)
        self._numbers = iter(range(self._messages))
        self._put: set[int] = set()
        self._refused: set[int] = set()
        self._begun: set[int] = set()
        self._acked: set[int] = set()
        self._outcomes: dict[int, list[Cancellation]] = {}
        self._delivered: dict[bytes, int] = {}
        """Key of a message -> its last attempt, as of when it was marked."""
        self._marked: set[bytes] = set()
        self.more_faults = [Server(world).restart]
        world.checks.append(self._look_at_the_marks)
        self._producers = [world.start(f"producer{n}", self._produce) for n in range(world.plan.actors_of(2))]
        self._start_consumers(3)
        self._cancellers = [world.start(f"canceller{n}", self._cancel) for n in range(world.plan.actors_of(2))]

    def _look_at_the_marks(self) -> None:
        calls, keys = self.world.control.calls, self._keys
        leased, handed, marks = calls(
            ("KEYS", "{q}:leased:*"), ("HVALS", keys["handed"]), ("ZRANGE", keys["marks"], 0, -1)
        )
        held = [receipt for receipts in calls(*(("HKEYS", key) for key in leased)) for receipt in receipts]
        held += [entry for entry in handed if entry]
        for each in held:
            if key_of(each) not in self._marked:
                self._delivered[key_of(each)] = attempt_of(each)
        self._marked.update(marks)

    # --- the processes ----------------------------------------------------------------------------------------------

    async def _produce(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = Queue(session, "q", int, maxsize=self._maxsize, max_attempts=999)
            await asyncio.gather(*(self._put_some(queue) for _ in range(self.world.rng.choice([1, 4]))))

    async def _put_some(self, queue: Queue[int]) -> None:
        for number in self._numbers:
            try:
                await queue.put(number, id=str(number))
                self._put.add(number)
            except MessageCancelled:
                self._refused.add(number)

    async def _get_all(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        while True:
            delivery = await queue.get()
            key = key_of(handout_of(delivery).receipt)
            if key in self._marked and delivery.attempt > self._delivered.get(key, 0):
                self.failures.append(f"{delivery.item} was cancelled, and began again as attempt {delivery.attempt}")
            self._begun.add(delivery.item)
            try:
                async with delivery as number:
                    await asyncio.sleep(rng.expovariate(10))
                    draw = rng.random()
                    if draw < 0.3:
                        await delivery.nack(delay=rng.choice([0.0, 0.05, 0.5]))
                    else:
                        if draw < 0.6:
                            delivery.effects.hincrby(SUM, str(number))
                        await delivery.ack()
                        self._acked.add(number)
            except (StaleDelivery, MessageCancelled):
                pass

    async def _cancel(self, process: Process) -> None:
        rng = self.world.rng
        async with self.session(process) as session:
            queue = Queue(session, "q", int)
            while not self.is_calm():
                await asyncio.sleep(rng.expovariate(20))
                # Mostly what is in the queue or in hands by now, or about to be put.
                number = max(0, min(self._messages - 1, len(self._put) + rng.randrange(-10, 5)))
                outcome = await queue.cancel(str(number), timeout=rng.choice([0.0, 0.5, 5.0]))
                self._outcomes.setdefault(number, []).append(outcome)

    # --- what the run asks ------------------------------------------------------------------------------------------

    def is_calm(self) -> bool:
        """Everything was put, or refused."""
        return len(self._put) + len(self._refused) >= self._messages

    def has_ended(self) -> bool:
        """Everything was put, and those who put and cancel have left."""
        return self.is_calm() and all(one.is_finished for one in (*self._producers, *self._cancellers))

    def has_more(self) -> dict[str, Any]:
        """Marks, which go with their messages."""
        marks = self.world.control.call("ZCARD", self._keys["marks"])
        return {"marks": marks} if marks else {}

    def look_at_rest(self) -> None:
        """What each call said holds, and nothing is lost."""
        call = self.world.control.call
        wanted = {number for number, seen in self._outcomes.items() if set(seen) <= {Cancellation.UNKNOWN}}
        wanted |= self._put - set(self._outcomes)
        if lost := sorted((wanted & self._put) - self._begun - self._dead()):
            self.failures.append(f"lost {lost[:5]}")
        ended = {Cancellation.REMOVED, Cancellation.STOPPED}
        gone = {number for number, seen in self._outcomes.items() if ended & set(seen)}
        if false := sorted(gone & self._acked):
            self.failures.append(f"cancelled, and acknowledged {false[:5]}")
        if false := sorted(self._refused & self._begun):
            self.failures.append(f"taken out of the line, and begun {false[:5]}")
        counts = call("HGETALL", SUM)
        made = {int(number): count for number, count in zip(counts[::2], counts[1::2], strict=True)}
        if false := sorted(number for number, count in made.items() if count != b"1" or number in gone):
            self.failures.append(f"effects twice, or of what was cancelled {false[:5]}")

    def details(self) -> str:
        """The bound, and what the calls said."""
        said = Counter(outcome.value for seen in self._outcomes.values() for outcome in seen)
        return f"maxsize {self._maxsize} put {len(self._put)} refused {len(self._refused)} {dict(sorted(said.items()))}"
