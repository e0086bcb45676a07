"""The workload of everything: all that a queue does at once, under all faults.

Puts with ids, keys, shares and a limit, batches and submissions, failures, dead letters and replay, effects and
forwarded puts, a lock, deferred messages and their clock, pauses, resizes and shutdowns. Everything that was accepted
is handled once, in the order of its key, and nothing is left behind. What the server loses it loses in both queues.
"""

import asyncio
import contextlib
from collections import Counter
from typing import Any, Final

from producer.clock.puts import JOB_TIMEOUT
from shared.clock.deferred import Deferred
from shared.clock.jobs import clock_queue
from shared.concurrency import (
    Delivery,
    LeaseLost,
    Lock,
    Priority,
    Queue,
    QueueEmpty,
    QueueFull,
    QueueShutDown,
    Session,
)  # fmt: skip
from shared.settings import Settings
from tests.simulation.blocks import Blocks
from tests.simulation.clients import JobKeys, client, use_virtual_time
from tests.simulation.contents import Contents
from tests.simulation.deferred import Reminder
from tests.simulation.hands import in_hands
from tests.simulation.insiders import Insiders
from tests.simulation.leftovers import dead_letters
from tests.simulation.mutes import Mutes
from tests.simulation.order import Order
from tests.simulation.resting import Resting
from tests.simulation.server import Server
from tests.simulation.submissions import Submissions
from tests.simulation.ticking import tick
from tests.simulation.workload import LOSSES, Workload
from tests.simulation.world import Process, World

_MESSAGES: Final = 60
_DEFERRED: Final = 15
_LARGEST: Final = 262144
_BOUND: Final = 3
_ATTEMPTS: Final = 3
_KEYS: Final = 3
_AT_ONCE: Final = 1
_WAYS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"share": "a"},
    {"limit": "few"},
    {"share": "b", "priority": Priority.LOW},
)
"""What a message asks of its way; all of a key ask for the same."""
_KEPT_FOR: Final = 600.0


class Everything(Resting):
    """Two queues, one behind the other, and all that can be done with them."""

    name = "everything"
    withstands = Workload.withstands | LOSSES
    queues = ("q", "r")

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        use_virtual_time()
        self._settings = Settings(queue="q", max_message_bytes=_LARGEST)
        self._messages, self._deferred = world.plan.most(_MESSAGES), world.plan.most(_DEFERRED)
        self._numbers = iter(range(self._messages))
        self._promised: set[int] = set()
        self._refused: set[int] = set()
        self._begun: set[int] = set()
        self._order = Order(_ATTEMPTS)
        self._submissions = Submissions(self.failures)
        self._inside = Insiders(world, ttl, self.failures)
        self._has_numbers = False
        """Whether the limit has its numbers."""
        self._done: Counter[str] = Counter()
        self._server, self._blocks, self._mutes = Server(world), Blocks(world, ttl * 2.5), Mutes(world)
        JobKeys(world, JOB_TIMEOUT + 10)
        self.more_faults = [
            self._server.restart, self._server.fill_memory, self._blocks.strike, self._mutes.strike, self._set_clock_back
        ]  # fmt: skip
        world.checks.append(self._look_at_the_limit)
        few = range(world.plan.actors_of(2))
        self._producers = [self.start(f"producer{n}", self._produce) for n in few]
        self._producers += [self.start("scheduler", self._schedule)]
        for n in few:
            self.start(f"consumer{n}", self._consume, may_die=True)
        self.start("last", self._consume_last, may_die=True)
        self.start("clock", self._tick, may_die=True)
        self.start("operator", self._operate, may_die=True)
        self.start("closer", self._close_down)

    def _set_clock_back(self) -> None:
        self.world.clock_off -= self.world.rng.choice([0.01, 0.5])

    def _look_at_the_limit(self) -> None:
        """A server that has lost data may have lost the numbers of the limit."""
        few = sum(limit == "few" for _, limit in in_hands(self.world.control).values())
        if few > _AT_ONCE and self._has_numbers and not self._submissions.losses:
            self.failures.append(f"{few} of a limit are in hands at {self.world.now:.3f} s")

    def _queue(self, session: Session, name: str = "q") -> Queue[Reminder]:
        return Queue(
            session, name, Reminder, maxsize=_BOUND, max_attempts=_ATTEMPTS if name == "q" else 999, max_crashes=None,
            result=int, results_for=_KEPT_FOR,
        )  # fmt: skip

    # --- those who put ----------------------------------------------------------------------------------------------

    async def _produce(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = self._queue(session)
            await queue.limit("few", at_once=_AT_ONCE)
            self._has_numbers = True
            await asyncio.gather(*(self._put_some(queue) for _ in range(3)))
            await self._submissions.over()

    async def _put_some(self, queue: Queue[Reminder]) -> None:
        rng = self.world.rng
        for number in self._numbers:
            self._begun.add(number)
            place = rng.randrange(len(_WAYS))
            asked = dict(_WAYS[place])
            if place < _KEYS and rng.random() < 0.6:
                asked["key"] = self._order.begins(number, f"k{place}")
            try:
                async with asyncio.timeout(rng.random() * 0.2 if rng.random() < 0.1 else None):
                    await self._put_one(queue, Reminder(number=number), asked)
                self._promised.add(number)
                self._order.returned(number)
            except TimeoutError:
                pass  # nobody knows
            except (QueueFull, QueueShutDown):
                self._refused.add(number)
            await asyncio.sleep(rng.expovariate(20))

    async def _put_one(self, queue: Queue[Reminder], item: Reminder, asked: dict[str, Any]) -> None:
        draw = self.world.rng.random()
        if draw < 0.1:
            await queue.put_nowait(item, **asked)
        elif draw < 0.3:
            await queue.put(item, **asked, id=f"n{item.number}")
        elif draw < 0.4:
            await queue.put_many([item], **asked)
        elif draw < 0.7:
            losses = self._submissions.losses
            self._submissions.expect(item.number, await queue.submit(item, **asked), losses)
        else:
            await queue.put(item, **asked)

    async def _schedule(self, _process: Process) -> None:
        rng = self.world.rng
        async with contextlib.aclosing(client()) as redis:
            deferred = Deferred(redis, "q", _LARGEST)
            for number in range(self._messages, self._messages + self._deferred):
                self._begun.add(number)
                await deferred.schedule(Reminder(number=number), None, rng.expovariate(1), f"n{number}")
                losses = self.forgiven["q"].losses
                if rng.random() < 0.2 and await deferred.unschedule(f"n{number}"):
                    self._refused.add(number)
                elif losses == self.forgiven["q"].losses:  # else it may have been, and the server have lost that
                    self._promised.add(number)
                await asyncio.sleep(rng.expovariate(5))

    async def _tick(self, process: Process) -> None:
        async with self.session(process) as session:
            self._queue(session)
            await tick(self, session, self._settings)

    # --- those who take ---------------------------------------------------------------------------------------------

    async def _consume(self, process: Process) -> None:
        async with self.session(process) as session:
            queue, last, lock = self._queue(session), self._queue(session, "r"), Lock(session, "x")
            await asyncio.gather(*(self._get_all(process, queue, last, lock) for _ in range(2)))

    async def _get_all(self, process: Process, queue: Queue[Reminder], last: Queue[Reminder], lock: Lock) -> None:
        rng = self.world.rng
        while not self.is_closing:
            losses = self._submissions.losses
            delivery = await self._next(queue)
            if delivery is None:
                continue
            number = delivery.item.number
            # Else it may have been handed out before the server lost data.
            if losses == self._submissions.losses and (wrong := self._not_done_before(number)):
                self.failures.append(f"{number} was handed out before {wrong} were done")
            with contextlib.suppress(LeaseLost):  # of the lock, or of the delivery
                if rng.random() < 0.3:
                    async with lock as lease:
                        self._inside.enter(process, lease)
                        await asyncio.sleep(rng.expovariate(20))
                        self._inside.leave(process)
                await self._settle(delivery, last)

    def _not_done_before(self, number: int) -> list[int]:
        """Those of its key that had to be done with before it was handed out."""
        wrong = self._order.sees(number)
        if not (wrong and self._submissions.losses):
            return wrong
        # One that was there again after a loss may have been settled by a call that was under way then.
        there = self._contents()["q"]
        return [other for other in wrong if other not in there.done | there.dead]

    async def _next(self, queue: Queue[Reminder]) -> Delivery[Reminder] | None:
        try:
            async with asyncio.timeout(1.0):
                return await queue.get()
        except (TimeoutError, QueueEmpty, QueueShutDown):
            await asyncio.sleep(0.05)
            return None

    async def _settle(self, delivery: Delivery[Reminder], last: Queue[Reminder]) -> None:
        rng, number = self.world.rng, delivery.item.number
        draw = rng.random()
        if draw < 0.15:
            self._order.fails(number)
            await delivery.nack(delay=rng.choice([0.0, 0.1]))
        elif draw < 0.2:
            self._order.dies(number)
            await delivery.dead_letter("so")
        else:
            self._order.ends(number)
            delivery.effects.hincrby("{q}:counts", str(number))
            delivery.effects.put(last, delivery.item)
            await delivery.ack(number)

    async def _consume_last(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = self._queue(session, "r")
            while not self.is_closing:
                if (delivery := await self._next(queue)) is not None:
                    with contextlib.suppress(LeaseLost):
                        delivery.effects.hincrby("{r}:counts", str(delivery.item.number))
                        await delivery.ack()

    # --- those who control ------------------------------------------------------------------------------------------

    async def _operate(self, process: Process) -> None:
        rng = self.world.rng
        async with self.session(process) as session:
            queue = self._queue(session)
            while not self.is_calm():
                word = rng.choice(["pause", "resume", "resume", "resize", "replay", "shutdown", "reopen", "reopen"])
                with contextlib.suppress(QueueShutDown):
                    await (queue.resize(rng.choice([0, 1, 10])) if word == "resize" else getattr(queue, word)())
                    self._done[word] += 1
                await asyncio.sleep(rng.expovariate(2))
            await self.closing()

    async def _close_down(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = self._queue(session)
            while not self.is_closing:
                await asyncio.sleep(0.5)
                if self.is_calm():
                    await queue.reopen()
                    await queue.resume()
                    # An operator that was stopped meanwhile may shut it down now: it is opened again in a while.
                    with contextlib.suppress(QueueShutDown):
                        await queue.replay()

    # --- what the run asks ------------------------------------------------------------------------------------------

    def replace(self, killed: Process) -> None:
        """Another one; the killed one is in the lock no more."""
        self._inside.leave(killed)
        super().replace(killed)

    def lost(self, name: str, before: Contents, after: Contents) -> None:
        """Who is in a lock is forgotten; what is there again comes again before others of its key."""
        if name == "q":
            self._inside.lose()
            self._submissions.losses += 1
            self._order.loses(before.admitted - after.admitted, after.there | after.held)

    def is_calm(self) -> bool:
        """All but the last puts have begun."""
        return len(self._begun) >= (self._messages + self._deferred) * 14 // 15

    def has_ended(self) -> bool:
        """Everything was put or refused, and every future has ended."""
        return all(one.is_finished for one in self._producers)

    def has_more(self) -> dict[str, Any]:
        """The jobs of the clock, and the dead letters, which are put back at last."""
        more = {"jobs": self.world.control.call("ZCARD", clock_queue("q")), "dead": dead_letters(self.world, "q")}
        return {word: count for word, count in more.items() if count}

    def look_at_rest(self) -> None:
        """All that was accepted was handled once, in both queues."""
        counts = {name: self._counted(name) for name in self.queues}
        handled = set(counts["q"])
        found = {
            "effects not once": {number for each in counts.values() for number, times in each.items() if times != 1},
            "lost": self._promised - handled - self.forgiven["q"].gone,
            "lost on the way": handled ^ set(counts["r"]),
            "refused, and went in": self._refused & handled - self.forgiven["q"].back,
        }
        self.failures += [f"{what} {sorted(numbers)[:5]}" for what, numbers in found.items() if numbers]

    def _counted(self, name: str) -> dict[int, int]:
        flat = self.world.control.call("HGETALL", f"{{{name}}}:counts")
        return {int(number): int(times) for number, times in zip(flat[::2], flat[1::2], strict=True)}

    def details(self) -> str:
        """What became of the puts, and what happened."""
        server = self._server
        return (
            f"promised {len(self._promised)} refused {len(self._refused)} {self._submissions} {dict(sorted(self._done.items()))} restarts "
            f"{server.restarts} full {server.full} losses {self._submissions.losses} blocks {self._blocks.count} mutes {self._mutes.count} {super().details()}"
        )
