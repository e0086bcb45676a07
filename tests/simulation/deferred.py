"""The workload of deferred messages: put by clocks that are killed, into a bounded queue, some of them unscheduled.

Each is put once, never before its time, and never when it was unscheduled, unless the server has lost that. At the end
no clock has a job left.
"""

import asyncio
import contextlib
import math
from collections import defaultdict
from typing import Any, Final

from producer.clock.puts import JOB_TIMEOUT
from shared.clock.deferred import Deferred
from shared.clock.jobs import clock_queue
from shared.concurrency import Queue, Session, StaleDelivery
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.message import Message
from shared.settings import Settings
from tests.simulation.clients import JobKeys, client, use_virtual_time
from tests.simulation.network import EPOCH
from tests.simulation.resting import Resting
from tests.simulation.server import Server
from tests.simulation.ticking import tick
from tests.simulation.workload import LOSSES, Workload
from tests.simulation.world import Process, World

_MESSAGES: Final = 40
_COUNTS: Final = "{q}:counts"
_OF_JOBS: Final = ("arq:job:*", "arq:in-progress:*", "arq:retry:*")
_LARGEST: Final = 262144


class Reminder(Message):
    """What is deferred."""

    number: int


class Scheduled:
    """What is known of the message of one number."""

    def __init__(self) -> None:
        """Nothing was asked for yet."""
        self.due = math.inf
        """The earliest time that it may have, by the server's clock."""
        self.is_promised = self.is_unscheduled = False
        self.puts: set[bytes] = set()
        """Under which keys it has been in the queue."""
        self.handled = 0


class DeferredPuts(Resting):
    """Those who schedule and unschedule, two clocks and two consumers."""

    name = "deferred"
    # Jobs are due by the server's clock: where that is set back they wait until it is there again.
    withstands = Workload.withstands | LOSSES

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        use_virtual_time()
        rng = world.rng
        self._maxsize = rng.choice([1, 3, 20])
        self._pace = rng.choice([2, 20])
        """How many messages a consumer handles in a second."""
        self._settings = Settings(queue="q", max_message_bytes=_LARGEST)
        self._most = world.plan.most(_MESSAGES)
        self._numbers = iter(range(self._most))
        self._messages: defaultdict[int, Scheduled] = defaultdict(Scheduled)
        self._server = Server(world)
        self._keys = JobKeys(world, JOB_TIMEOUT + 10)
        self.more_faults = [self._server.restart, self._server.fill_memory]
        few = range(world.plan.actors_of(2))
        self._schedulers = [self.start(f"scheduler{n}", self._schedule) for n in few]
        for n in few:
            self.start(f"clock{n}", self._tick, may_die=True)
            self.start(f"consumer{n}", self._consume, may_die=True)

    def _queue(self, session: Session) -> Queue[Reminder]:
        return Queue(session, "q", Reminder, maxsize=self._maxsize, max_attempts=999, max_crashes=None)

    # --- the processes ----------------------------------------------------------------------------------------------

    async def _schedule(self, _process: Process) -> None:
        rng = self.world.rng
        async with contextlib.aclosing(client()) as redis:
            deferred, regrets = Deferred(redis, "q", _LARGEST), list[asyncio.Task[None]]()
            for number in self._numbers:
                message = self._messages[number]
                for _ in range(rng.choice([1, 1, 2])):  # again under the same id, as whoever repeats what failed
                    await self._schedule_one(deferred, number, message)
                if rng.random() < 0.3:
                    regrets.append(asyncio.create_task(self._unschedule(deferred, number, message)))
                await asyncio.sleep(rng.expovariate(5))
            await asyncio.gather(*regrets)

    async def _unschedule(self, deferred: Deferred, number: int, message: Scheduled) -> None:
        """About when a clock begins to put it, or while that waits for room."""
        rng = self.world.rng
        left = max(0.0, message.due - EPOCH - self.world.server_now)
        await asyncio.sleep(rng.choice([rng.expovariate(1), left + rng.expovariate(2)]))
        losses = self.forgiven["q"].losses
        message.is_unscheduled |= await deferred.unschedule(f"n{number}")
        if losses != self.forgiven["q"].losses:  # it may have been, and the server have lost that
            message.is_promised = False

    async def _schedule_one(self, deferred: Deferred, number: int, message: Scheduled) -> None:
        rng = self.world.rng
        after = rng.choice([0.0, rng.expovariate(1), rng.expovariate(0.2)])
        message.due = min(message.due, EPOCH + self.world.server_now + after)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rng.random() * 0.1 if rng.random() < 0.1 else None):
                await deferred.schedule(Reminder(number=number), None, after, f"n{number}")
                message.is_promised = True

    async def _tick(self, process: Process) -> None:
        async with self.session(process) as session:
            self._queue(session)
            await tick(self, session, self._settings)

    async def _consume(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = self._queue(session)
            while not self.is_closing:
                with contextlib.suppress(TimeoutError, StaleDelivery):
                    await self._handle_one(queue)

    async def _handle_one(self, queue: Queue[Reminder]) -> None:
        rng = self.world.rng
        async with asyncio.timeout(0.5):
            delivery = await queue.get()
        receipt = handout_of(delivery).receipt
        number, message = delivery.item.number, self._messages[delivery.item.number]
        message.puts.add(receipt[16:38])
        if (early := message.due - int(receipt[:16]) / 1e6) > 0.0015:  # arq counts in milliseconds
            self.failures.append(f"{number} was put {early:.3f} s before its time")
        back = self.forgiven["q"].back
        if len(message.puts) > 1 and number not in back:
            self.failures.append(f"{number} was put as {sorted(message.puts)}")
        if message.is_unscheduled and number not in back:
            self.failures.append(f"{number} was unscheduled, and put")
        await asyncio.sleep(rng.expovariate(self._pace))
        if rng.random() < 0.1:
            await delivery.nack()
        else:
            delivery.effects.hincrby(_COUNTS, str(number))
            await delivery.ack()

    # --- what the run asks ------------------------------------------------------------------------------------------

    def is_calm(self) -> bool:
        """Everything was scheduled, or nearly."""
        return len(self._messages) >= self._most

    def has_ended(self) -> bool:
        """Everything was scheduled."""
        return all(one.is_finished for one in self._schedulers)

    def has_more(self) -> dict[str, Any]:
        """The jobs that no clock has done yet."""
        jobs = int(self.world.control.call("ZCARD", clock_queue("q")))
        return {"jobs": jobs} if jobs else {}

    def look_at_rest(self) -> None:
        """Each that was promised was handled once, unless it was unscheduled; no job is left."""
        call = self.world.control.call
        flat = call("HGETALL", _COUNTS)
        counts = {int(number): int(times) for number, times in zip(flat[::2], flat[1::2], strict=True)}
        handled = set(counts)
        if twice := [number for number, times in counts.items() if times != 1]:
            self.failures.append(f"effects not once {twice[:5]}")
        forgiven = self.forgiven["q"]
        for number, message in self._messages.items():
            if message.is_promised and not message.is_unscheduled and number not in handled | forgiven.gone:
                self.failures.append(f"lost {number}")
            if message.is_unscheduled and number in handled - forgiven.back:
                self.failures.append(f"{number} was unscheduled, and handled")
        if left := [key for word in _OF_JOBS for key in call("KEYS", word)]:
            self.failures.append(f"left of jobs: {left[:3]}")

    def details(self) -> str:
        """The bound, and what became of them."""
        unscheduled = sum(message.is_unscheduled for message in self._messages.values())
        return (
            f"maxsize {self._maxsize} scheduled {len(self._messages)} unscheduled {unscheduled} "
            f"restarts {self._server.restarts} full {self._server.full} losses {self.forgiven['q'].losses} {super().details()}"
        )
