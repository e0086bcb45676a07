"""The workload of barriers: tasks of several processes wait for each other, again and again.

Half of the runs are strict: just as many tasks as there are parties, of which none is killed or cancelled. Then all
pass each round, with a number of their own, and none before the last has come. In the others there are more tasks, that
are cancelled and killed, sessions end before those who wait, and somebody breaks the barrier and makes it as new:
nobody passes while too few wait, or while it is broken, and whoever is refused has a cause.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from shared.concurrency import Barrier, BrokenBarrierError, ConcurrencyError, Session
from shared.concurrency.locks.leases.keys import barrier_keys
from tests.simulation.blocks import Blocks
from tests.simulation.changes import Changes
from tests.simulation.leaving import Leaving
from tests.simulation.remains import BRIEFLY, Rest, rest
from tests.simulation.server import Server
from tests.simulation.world import Process, World

_KEYS = barrier_keys("b")
_PROCESSES = 3
_ROUNDS = 12
_MOST_PASSES = 1_000_000
"""Of a run that is not strict, so that half a minute ends it; a plan may have fewer."""
_CALM_AFTER = 30.0
_LEAVES_WITHIN = 10.0
"""For how many seconds a cancelled wait counts on at most: its last question arrives, and its time to live passes."""
_GONE_WITHIN = 0.05
"""For how many seconds a killed process still receives, as the server sees it."""


@dataclass
class Wait:
    """One wait of a task; when it began, and when the server counts it no more at the latest, in virtual seconds."""

    process: Process
    begun: float
    ended: float = float("inf")


class Barriers(Leaving):
    """One barrier."""

    name = "barriers"
    calls = frozenset({_KEYS["outcomes"]})

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        rng, rounds, few = world.rng, world.plan.most(_ROUNDS), world.plan.actors_of(_PROCESSES)
        self._strict = rng.random() < 0.5
        self._parties = rng.choice([2, 3, 5])
        self._waits: list[Wait] = []
        self._passed: list[set[int]] = [set() for _ in range(rounds)]
        """The numbers of each round, in a strict run."""
        self._begun = [0] * rounds
        self._passes = self._refused = self._cut_short = self._closings = 0
        self._changes = Changes(world)
        self._changes.end(self._changes.begin("reset"))
        self._is_over = False
        self._server = Server(world)
        self._blocks = Blocks(world, ttl * 2.5)
        self.more_faults = [self._server.restart, self._blocks.strike]
        self._operator = None if self._strict else world.start("operator", self._operate)
        tasks = self._parties if self._strict else self._parties + rng.choice([0, 1, self._parties])
        for number in range(few):
            self._start(len(range(number, tasks, few)))

    def _start(self, tasks: int) -> None:
        self.world.start(f"p{len(self.world.processes)} of {tasks}", lambda process: self._live(process, tasks))

    # --- the processes ----------------------------------------------------------------------------------------------

    async def _live(self, process: Process, tasks: int) -> None:
        if self._strict:
            async with self.session(process) as session:
                barrier = Barrier(session, "b", self._parties)
                await asyncio.gather(*(self._pass_all(barrier) for _ in range(tasks)))
            return
        while not self._is_over:
            async with self.session(process) as session:
                barrier = Barrier(session, "b", self._parties)
                waiting = [asyncio.create_task(self._pass_often(process, barrier)) for _ in range(tasks)]
                if waiting and self.world.rng.random() < 0.3:
                    self._closings += 1
                    await asyncio.wait(waiting, timeout=self.world.rng.random() * 3)
                else:
                    await asyncio.gather(*waiting)
            for end in await asyncio.gather(*waiting, return_exceptions=True):
                if end is not None and not isinstance(end, ConcurrencyError):
                    raise end
            await asyncio.sleep(0.1)

    async def _pass_all(self, barrier: Barrier) -> None:
        for number in range(len(self._begun)):
            await asyncio.sleep(self.world.rng.expovariate(20))
            self._begun[number] += 1
            place = await barrier.wait()
            self._passes += 1
            if self._begun[number] < self._parties:
                self._fail(f"{self._begun[number]} of {self._parties} had come in round {number}")
            if place in self._passed[number] or place not in range(self._parties):
                self._fail(f"the number {place} beside {sorted(self._passed[number])} in round {number}")
            self._passed[number].add(place)

    async def _pass_often(self, process: Process, barrier: Barrier) -> None:
        rng = self.world.rng
        while not self._is_over:
            wait = Wait(process, self.world.now)
            self._waits.append(wait)
            try:
                async with asyncio.timeout(rng.choice([0, 0.0005, 0.01, 0.5]) if rng.random() < 0.2 else None):
                    place = await barrier.wait()
            except BrokenBarrierError:
                wait.ended = self.world.now
                self._look_for_a_cause(wait)
                await asyncio.sleep(rng.expovariate(5))
                continue
            except (TimeoutError, ConcurrencyError) as error:
                wait.ended = self.world.now + _LEAVES_WITHIN
                if not isinstance(error, TimeoutError):
                    raise
                self._cut_short += 1
                continue
            wait.ended = self.world.now
            self._look_at_pass(wait, place)
            await asyncio.sleep(rng.expovariate(5))

    async def _operate(self, process: Process) -> None:
        """Break it and make it as new, now and then; at the end break it for good, so that all leave."""
        rng = self.world.rng
        async with self.session(process) as session:
            barrier = Barrier(session, "b", self._parties)
            while not self._is_over:
                await asyncio.sleep(rng.expovariate(2))
                await self._change(barrier, "reset" if await barrier.broken() else rng.choice(["abort", "reset"]))
                if (count := await barrier.n_waiting()) >= self._parties:
                    self._fail(f"{count} of {self._parties} wait")
            await self._change(barrier, "abort")

    async def _change(self, barrier: Barrier, how: str) -> None:
        change = self._changes.begin(how)
        await (barrier.abort() if how == "abort" else barrier.reset())
        self._changes.end(change)

    # --- what must hold ---------------------------------------------------------------------------------------------

    def _look_at_pass(self, wait: Wait, place: int) -> None:
        self._passes += 1
        if place not in range(self._parties):
            self._fail(f"the number {place}")
        if not any(change.what == "reset" or change.ended >= wait.begun for change in self._changes.since(wait.begun)):
            self._fail("passed a broken barrier")
        # It passed at a time at which so many waited; it is enough to look whenever one of them began.
        beside = [one for one in self._waits if one.ended >= wait.begun]
        if not any(
            sum(one.begun <= moment <= one.ended for one in beside) >= self._parties
            for moment in {max(wait.begun, one.begun) for one in beside}
        ):
            self._fail(f"fewer than {self._parties} waited since {wait.begun:.3f} s")

    def _look_for_a_cause(self, wait: Wait) -> None:
        self._refused += 1
        if not any(change.what == "abort" or change.ended >= wait.begun for change in self._changes.since(wait.begun)):
            self._fail(f"refused by nothing since {wait.begun:.3f} s")

    def _fail(self, what: str) -> None:
        self.failures.append(f"{what} at {self.world.now:.3f} s")

    # --- what the run asks ------------------------------------------------------------------------------------------

    def victims(self) -> list[Process]:
        """Those who wait, and are not done yet, unless nobody is to die."""
        others = (one for one in self.world.processes if one is not self._operator)
        return [] if self._strict else [one for one in others if not (one.is_dead or one.is_finished)]

    def replace(self, killed: Process) -> None:
        """Another one, with as many tasks."""
        for wait in self._waits:
            if wait.process is killed:
                wait.ended = min(wait.ended, self.world.now + _GONE_WITHIN)
        self._start(int(killed.name.rpartition(" ")[2]))

    def is_late(self) -> bool:
        """After half a minute; from then on it is over."""
        if self.world.now > _CALM_AFTER or self._passes >= self.world.plan.most(_MOST_PASSES):
            self._is_over = True
        return self._is_over

    async def visit(self, session: Session) -> None:
        """Wait in vain, and pass alone: nobody waits, whoever had died."""
        barrier = Barrier(session, "b", 1)
        if await barrier.broken():
            await barrier.reset()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await Barrier(session, "b", 2).wait()
        await asyncio.sleep(0.5)  # it leaves in the background
        if (count := await barrier.n_waiting()) != 0:
            self._fail(f"{count} still wait")
        if (place := await barrier.wait()) != 0:
            self._fail(f"the number {place} of one alone")

    def rests(self) -> dict[bytes, Rest]:
        """How many parties it had; for ten minutes what the killed have not fetched, and calls of those who left."""
        brief = ("passed", "refused", "outcomes", "departed")
        return {_KEYS["barrier"]: rest(7 * 24.0), **{_KEYS[word]: BRIEFLY for word in brief}}

    def look_at_the_end(self) -> None:
        """In a strict run all have passed each round; nothing is left."""
        rounds = len(self._begun)
        if self._strict and self._passes != self._parties * rounds:
            self._fail(f"{self._passes} passes of {self._parties} in {rounds} rounds")
        super().look_at_the_end()

    def details(self) -> str:
        """How strict it was, and what happened."""
        return (
            f"{'strict' if self._strict else 'rough'} parties {self._parties} passes {self._passes} "
            f"refused {self._refused} cut short {self._cut_short} closings {self._closings} "
            f"changes {len(self._changes.all)} restarts {self._server.restarts} blocks {self._blocks.count}"
        )
