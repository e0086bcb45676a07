"""The workload of controls: a queue is paused, resized, shut down and reopened while all else goes on.

Operators are killed in the middle, dead letters are put back and deleted, sessions close while calls wait. What each
call said holds: a put that returned comes to its end once, one that was refused never arrives, `join` returns when all
was done, `get` raises QueueShutDown when all was done and the queue is shut down.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable
from typing import Any, Final

from shared.concurrency import ConcurrencyError, Queue, QueueEmpty, QueueFull, QueueShutDown, Session, StaleDelivery
from tests.simulation.blocks import Blocks
from tests.simulation.leftovers import dead_letters
from tests.simulation.resting import Resting
from tests.simulation.server import Server
from tests.simulation.workload import COUNTED
from tests.simulation.world import Process, World

_MESSAGES: Final = 120
_COUNTS: Final = "{q}:counts"
_URL: Final = "redis://simulated/0"
_LAST_BOUND: Final = 3
_UNDER_WAY: Final = 10.0
"""Seconds for which the notification of a shutdown may be under way, or its receiver stopped: a put that begins
meanwhile is refused, though the queue is open again. It has not gone in, and that is what counts."""


class Controls(Resting):
    """Producers, consumers, operators and visitors of one queue; all but the producers are killed."""

    name = "controls"
    withstands = COUNTED

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        rng = world.rng
        self._messages = world.plan.most(_MESSAGES)
        self._numbers = iter(range(self._messages))
        self._begun = 0
        self._put: set[int] = set()
        self._refused: set[int] = set()
        self._discarded: set[int] = set()
        self._done: Counter[str] = Counter()
        self._server = Server(world)
        self._blocks = Blocks(world, ttl * 2.5)
        self.more_faults = [self._server.restart, self._server.fill_memory, self._blocks.strike]
        self._shuts_down = rng.random() < 0.7
        few = range(world.plan.actors_of(2))
        self._producers = [self.start(f"producer{n}", self._produce) for n in few]
        for n in few:
            self.start(f"consumer{n}", self._consume, may_die=True)
            self.start(f"operator{n}", self._operate, may_die=True)
        self.start("visitor", self._visit, may_die=True)
        self.start("joiner", self._join, may_die=True)
        self.start("closer", self._close_down)

    def _queue(self, session: Session) -> Queue[int]:
        return Queue(session, "q", int, maxsize=_LAST_BOUND, max_attempts=3, max_crashes=5)

    # --- those who put and get --------------------------------------------------------------------------------------

    async def _produce(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = self._queue(session)
            await asyncio.gather(*(self._put_some(queue) for _ in range(self.world.rng.choice([1, 4]))))

    async def _put_some(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        for number in self._numbers:
            self._begun += 1
            draw = rng.random()
            begun = self.world.now
            try:
                async with asyncio.timeout(rng.random() * 0.2 if rng.random() < 0.1 else None):
                    await self._put_one(queue, number, draw)
                self._put.add(number)
            except TimeoutError:
                pass  # nobody knows
            except QueueFull:
                self._refused.add(number)
            except QueueShutDown:
                self._refused.add(number)
                if self.ledgers["q"].shut_at < begun - _UNDER_WAY:
                    self.failures.append(f"{number} was refused by a shutdown, and there was none since {begun:.3f} s")
            await asyncio.sleep(rng.expovariate(20))

    async def _put_one(self, queue: Queue[int], number: int, draw: float) -> None:
        if draw < 0.2:
            await queue.put_nowait(number)
        elif draw < 0.6:
            await queue.put(number)
        elif draw < 0.7:
            await queue.put_many([number])
        else:
            while True:  # as whoever repeats until it is in
                with contextlib.suppress(QueueShutDown):
                    await queue.put(number, id=str(number))
                    return
                await asyncio.sleep(0.1)

    async def _consume(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = self._queue(session)
            await asyncio.gather(*(self._get_all(queue) for _ in range(self.world.rng.choice([1, 3]))))

    async def _get_all(self, queue: Queue[int]) -> None:
        while not self.is_closing:
            await self._get_one(queue)

    async def _get_one(self, queue: Queue[int]) -> None:
        rng, begun = self.world.rng, self.world.now
        try:
            async with asyncio.timeout(1.0):
                delivery = await (queue.get_nowait() if rng.random() < 0.1 else queue.get())
        except (TimeoutError, QueueEmpty):
            await asyncio.sleep(0.05)
            return
        except QueueShutDown:
            if self.ledgers["q"].finished_at < begun:
                self.failures.append(f"a get was told of the end, and there was none since {begun:.3f} s")
            await asyncio.sleep(0.1)
            return
        try:
            await asyncio.sleep(rng.expovariate(20) if rng.random() < 0.3 else 0)
            draw = rng.random()
            if draw < 0.15:
                await delivery.nack(delay=rng.choice([0.0, 0.05, 0.5]))
            elif draw < 0.2:
                await delivery.dead_letter("so")
            else:
                delivery.effects.hincrby(_COUNTS, str(delivery.item))
                await delivery.ack()
        except StaleDelivery:
            pass

    # --- those who control it ---------------------------------------------------------------------------------------

    async def _operate(self, process: Process) -> None:
        rng = self.world.rng
        async with self.session(process) as session:
            queue = self._queue(session)
            words = ["pause", "resume", "resume", "resize", "replay", "discard", "statistics"]
            words += ["shutdown", "reopen", "reopen"] * self._shuts_down
            while not self.is_calm():
                word = rng.choice(words)
                try:
                    async with asyncio.timeout(rng.random() if rng.random() < 0.1 else None):
                        await self._control(queue, word)
                    self._done[word] += 1
                except (TimeoutError, QueueShutDown):
                    pass
                await asyncio.sleep(rng.expovariate(3))
            await self.closing()

    async def _control(self, queue: Queue[int], word: str) -> None:
        rng = self.world.rng
        if word == "resize":
            await queue.resize(rng.choice([0, 1, 2, 10]))
        elif word == "shutdown":
            await queue.shutdown(immediate=rng.random() < 0.4)
        elif word == "discard":
            for letter in await queue.dead_letters(2):
                self._discarded.add(int(letter.body))
                await queue.discard([letter.key])
        else:
            await getattr(queue, word)()

    async def _close_down(self, process: Process) -> None:
        """Once the faults are over: open the queue, and put back what has died, until there is nothing left."""
        async with self.session(process) as session:
            queue = self._queue(session)
            while not self.is_closing:
                await asyncio.sleep(0.5)
                if not self.is_calm():
                    continue
                # An operator that was stopped may shut it down before the replay: it is opened again in a while.
                with contextlib.suppress(QueueShutDown):
                    await queue.reopen()
                    await queue.resume()
                    await queue.resize(_LAST_BOUND)
                    await queue.replay()

    async def _join(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = self._queue(session)
            while not self.is_closing:
                begun = self.world.now
                try:
                    async with asyncio.timeout(5):
                        await queue.join()
                    self._done["joined"] += 1
                    if self.ledgers["q"].empty_at < begun:
                        self.failures.append(f"join returned, and there was something to do since {begun:.3f} s")
                except TimeoutError:
                    pass
                await asyncio.sleep(0.2)

    async def _visit(self, _process: Process) -> None:
        """Sessions that close while calls wait: each call ends."""
        rng = self.world.rng
        while not self.is_calm():
            calls: list[asyncio.Task[Any]] = []
            async with Session.open(_URL, ttl=self.ttl, connect_timeout=1000) as session:
                queue = self._queue(session)
                waits: list[Awaitable[object]] = [
                    queue.join(),
                    *(self._get_one(queue) for _ in range(rng.choice([0, 2]))),
                ]
                calls = [asyncio.ensure_future(wait) for wait in waits]
                await asyncio.sleep(rng.random() * self.ttl)
            _, late = await asyncio.wait(calls, timeout=30)
            if late:
                self.failures.append(f"{len(late)} calls go on though their session is closed")
            for call in calls:
                error = call.exception() if call.done() and not call.cancelled() else None
                if error is not None and not isinstance(error, ConcurrencyError):
                    self.failures.append(f"a call of a closed session ended with {error!r}")
            await asyncio.sleep(rng.random())

    # --- what the run asks ------------------------------------------------------------------------------------------

    def is_calm(self) -> bool:
        """All but the last puts have begun."""
        return self._begun >= self._messages * 11 // 12

    def has_ended(self) -> bool:
        """Everything was put, or refused."""
        return all(one.is_finished for one in self._producers)

    def has_more(self) -> dict[str, Any]:
        """The dead letters: all of them are put back at last."""
        left = dead_letters(self.world, "q")
        return {"dead": left} if left else {}

    def look_at_rest(self) -> None:
        """What each call said holds."""
        flat = self.world.control.call("HGETALL", _COUNTS)
        ended = {int(number): int(times) for number, times in zip(flat[::2], flat[1::2], strict=True)}
        self._look("effects not once", {number for number, times in ended.items() if times != 1})
        forgiven = self.forgiven["q"]
        self._look("lost", self._put - set(ended) - self._discarded - forgiven.gone)
        self._look("refused, and went in", self._refused & (set(ended) | self._discarded) - forgiven.back)

    def _look(self, what: str, numbers: set[int]) -> None:
        if numbers:
            self.failures.append(f"{what} {sorted(numbers)[:5]}")

    def details(self) -> str:
        """What became of the puts, and what the operators did."""
        return (
            f"put {len(self._put)} refused {len(self._refused)} discarded {len(self._discarded)} "
            f"{dict(sorted(self._done.items()))} restarts {self._server.restarts} full {self._server.full} "
            f"blocks {self._blocks.count} losses {self.forgiven['q'].losses} {super().details()}"
        )
