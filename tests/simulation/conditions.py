"""The workload of conditions: makers and takers of a stock that its condition guards, in several processes.

One is inside at a time, and everything that is made is taken. Half of the runs are strict: nobody dies or loses the
lock, takers wait without looking again by themselves, and so a notification that gets lost leaves somebody for ever.
"""

import asyncio
import contextlib
from collections.abc import Awaitable

from shared.concurrency import ConcurrencyError, Condition, Lease, LeaseLost, Session
from shared.concurrency.locks.leases.keys import condition_keys, lease_keys
from tests.simulation.belief import believes
from tests.simulation.blocks import Blocks
from tests.simulation.leaving import Leaving
from tests.simulation.remains import BRIEFLY, Rest, hold_fields, hours, rest
from tests.simulation.server import Server
from tests.simulation.world import Process, World

_KEYS = condition_keys("c") | lease_keys("c")
_PROCESSES = 3
_MADE = 40
_RESTARTS = 2
_LONG = 10.0
"""The time to live where nobody loses the lock, in seconds."""


class Conditions(Leaving):
    """One condition, and a stock of what was made and not taken."""

    name = "conditions"
    calls = frozenset({_KEYS["calls"]})

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._strict = world.rng.random() < 0.5
        if self._strict:
            self.ttl = _LONG
        self._most = world.plan.most(_MADE)
        if self._strict:
            self.longest_stop, self.worst_delay = 0.1, 0.005
        self._server = Server(world)
        self._blocks = Blocks(world, ttl * self.longest_stop)
        self.more_faults = [self._restart, self._blocks.strike]
        self._made = self._stock = self._taken = 0
        self._cut_short = self._lost = self._closings = 0
        self._inside: dict[Lease, Process] = {}
        for _ in range(world.plan.actors_of(_PROCESSES)):
            self._start()

    @property
    def _is_over(self) -> bool:
        return self._made == self._most and not self._stock

    def _restart(self) -> None:
        # The lease rests for a time to live after each.
        if not self._strict or self._server.restarts < _RESTARTS:
            self._server.restart()

    def _start(self) -> None:
        self.world.start(f"p{len(self.world.processes)}", self._live)

    # --- the processes ----------------------------------------------------------------------------------------------

    async def _live(self, process: Process) -> None:
        """Make and take, in one session, or in several, each of which ends before those who wait in it."""
        rng = self.world.rng
        while not self._is_over:
            async with self.session(process) as session:
                condition = Condition(session, "c")
                work = [
                    self._make_some(process, condition),
                    *(self._take_all(process, condition) for _ in range(rng.choice([1, 3]))),
                ]
                tasks = [asyncio.create_task(each) for each in work]
                if not self._strict and rng.random() < 0.3:
                    self._closings += 1
                    await asyncio.wait(tasks, timeout=rng.random() * 3)
                else:
                    await asyncio.gather(*tasks)
            for end in await asyncio.gather(*tasks, return_exceptions=True):
                if end is not None and not isinstance(end, ConcurrencyError):
                    raise end

    async def _make_some(self, process: Process, condition: Condition) -> None:
        while self._made < self._most:
            await asyncio.sleep(self.world.rng.expovariate(4))
            await self._once(self._make(process, condition))

    async def _take_all(self, process: Process, condition: Condition) -> None:
        while not self._is_over:
            await self._once(self._take(process, condition))

    async def _once(self, work: Awaitable[None]) -> None:
        try:
            await work
        except LeaseLost as error:
            self._lost += 1
            if self._strict:
                self.failures.append(f"a lock was lost at {self.world.now:.3f} s, and nothing took that long: {error}")

    async def _make(self, process: Process, condition: Condition) -> None:
        async with condition as lease:
            self._enter(process, lease)
            try:
                if self._made < self._most:
                    self._made += 1
                    self._stock += 1
                    await condition.notify()
            finally:
                self._inside.pop(lease, None)

    async def _take(self, process: Process, condition: Condition) -> None:
        async with condition as lease:
            self._enter(process, lease)
            try:
                if self._strict:
                    while not (self._stock or self._is_over):
                        await self._wait(process, condition, lease)
                else:
                    self._inside.pop(lease)
                    await condition.wait_for(lambda: self._stock or self._is_over)
                    self._enter(process, lease)
                if self._stock:
                    self._stock -= 1
                    self._taken += 1
                if self._is_over:
                    await condition.notify_all()
            finally:
                self._inside.pop(lease, None)

    async def _wait(self, process: Process, condition: Condition, lease: Lease) -> None:
        """Wait; one in four is cut short, mostly at its first steps."""
        rng = self.world.rng
        longest = rng.choice([0, 0, 0.0005, 0.005, 0.5]) if rng.random() < 0.25 else None
        self._inside.pop(lease)
        try:
            async with asyncio.timeout(longest):
                await condition.wait()
        except TimeoutError:
            self._cut_short += 1
        lease.check()
        self._enter(process, lease)

    def _enter(self, process: Process, lease: Lease) -> None:
        others = [one for held, one in self._inside.items() if believes(self.world, one, held)]
        if others and believes(self.world, process, lease):
            self.failures.append(f"two inside at {self.world.now:.3f} s")
        self._inside[lease] = process

    # --- what the run asks ------------------------------------------------------------------------------------------

    def victims(self) -> list[Process]:
        """All that are not done yet, unless nobody is to die."""
        return [] if self._strict else [one for one in self.world.processes if not (one.is_dead or one.is_finished)]

    def replace(self, killed: Process) -> None:
        """Another one, which begins anew; the killed one is inside no more."""
        self._inside = {lease: process for lease, process in self._inside.items() if process is not killed}
        self._start()

    def is_late(self) -> bool:
        """Most was taken."""
        return self._taken >= self._most * 3 // 4

    async def visit(self, session: Session) -> None:
        """Wait for nothing, and notify all, though nobody waits."""
        condition = Condition(session, "c")
        async with condition:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await condition.wait()
            await condition.notify_all()

    def rests(self) -> dict[bytes, Rest]:
        """The record of the lock; and for ten minutes the calls that may be repeated, and whom they notified."""
        brief = ("notified", "calls", "withdrawn")
        return {_KEYS["record"]: rest(hours(self.ttl)), **{_KEYS[word]: BRIEFLY for word in brief}}

    def look_at_the_end(self) -> None:
        """All that was made was taken, and nothing is left."""
        if not self._is_over or self._taken != self._made:
            self.failures.append(f"made {self._made} taken {self._taken} of {self._most}")
        super().look_at_the_end()
        if not self.failures:  # else those who hold are still there
            self.failures += [
                f"at rest: {field} is in the record" for field in hold_fields(self.world, _KEYS["record"])
            ]

    def details(self) -> str:
        """How strict it was, and what happened."""
        return (
            f"{'strict' if self._strict else 'rough'} made {self._made} taken {self._taken} cut short {self._cut_short} "
            f"lost {self._lost} closings {self._closings} restarts {self._server.restarts} blocks {self._blocks.count}"
        )
