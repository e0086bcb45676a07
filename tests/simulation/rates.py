"""The workload of rates: tasks of several processes wait for one RateLimit, are cancelled, stopped and killed.

Loops block, the server restarts with its data, its clock is set back, sessions end before those who wait in them. Never
does more go than the rate and one burst, whoever came first goes first, and nothing is left of who waited.
"""

import asyncio

from shared.concurrency import ConcurrencyError, LeaseBusy, Rate, RateLimit, Session
from shared.concurrency.session.session import process_of
from tests.simulation.blocks import Blocks
from tests.simulation.first_steps import FirstSteps
from tests.simulation.server import Server
from tests.simulation.turns import Turns
from tests.simulation.workload import Workload
from tests.simulation.world import Process, World

_URL = "redis://simulated/0"
_RATES = (Rate(5), Rate(20, burst=3), Rate(100, burst=10))
_PROCESSES = 4
_ROUNDS = 12
_CALM_AFTER = 30.0


class Rates(Workload):
    """One rate limit."""

    name = "rates"

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world)
        self._ttl = ttl
        self._rate = world.rng.choice(_RATES)
        self._turns = Turns(world, "r", self._rate)
        self.failures = self._turns.failures
        self._went = self._busy = self._closings = self._clock_steps = 0
        self._owners: dict[bytes, Process] = {}
        self._server = Server(world)
        self._blocks = Blocks(world, ttl * 2.5)
        self._first_steps = FirstSteps(world, 0.1)
        self.more_faults = [self._server.restart, self._blocks.strike, self._set_clock_back]
        for _ in range(world.plan.actors_of(_PROCESSES)):
            self._start()

    def _start(self) -> None:
        self.world.start(f"p{len(self.world.processes)}", self._live)

    def _set_clock_back(self) -> None:
        self.world.clock_off -= self.world.rng.choice([0.01, 1, 7200])
        self._clock_steps += 1

    # --- the processes ----------------------------------------------------------------------------------------------

    async def _live(self, process: Process) -> None:
        """Go often, in one task or several; some sessions end before those who wait in them."""
        rng = self.world.rng
        left = [self.world.plan.most(_ROUNDS)] * rng.choice([1, 3, 6])
        while any(left):
            async with Session.open(_URL, ttl=self._ttl, connect_timeout=1000) as session:
                self._owners[process_of(session).owner.encode()] = process
                limit = RateLimit(session, "r", self._rate)
                tasks = [asyncio.create_task(self._go_often(limit, left, which)) for which in range(len(left))]
                if rng.random() < 0.3:
                    self._closings += 1
                    await asyncio.wait(tasks, timeout=rng.random() * 3)
                else:
                    await asyncio.gather(*tasks)
            for end in await asyncio.gather(*tasks, return_exceptions=True):
                if end is not None and not isinstance(end, ConcurrencyError):
                    raise end

    async def _go_often(self, limit: RateLimit, left: list[int], which: int) -> None:
        rng = self.world.rng
        while left[which]:
            left[which] -= 1
            await asyncio.sleep(rng.expovariate(rng.choice([5, 100])))
            if rng.random() < 0.1:
                await self._go_now(limit)
                continue
            try:
                async with asyncio.timeout(rng.random() * 0.5 if rng.random() < 0.2 else None):
                    await self._first_steps.run(self._go(limit))
            except TimeoutError:
                pass

    async def _go(self, limit: RateLimit) -> None:
        async with limit:
            self._note_turn()

    async def _go_now(self, limit: RateLimit) -> None:
        try:
            await limit.acquire_nowait()
        except LeaseBusy:
            self._busy += 1
        else:
            self._note_turn()

    def _note_turn(self) -> None:
        self._went += 1
        if self._went > self._turns.granted:
            self.failures.append(f"{self._went} went by {self._turns.granted} turns at {self.world.now:.3f} s")

    # --- what the run asks ------------------------------------------------------------------------------------------

    def victims(self) -> list[Process]:
        """All that are not done yet."""
        return [one for one in self.world.processes if not (one.is_dead or one.is_finished)]

    def replace(self, killed: Process) -> None:  # noqa: ARG002
        """Another one, which begins anew."""
        self._start()

    def is_calm(self) -> bool:
        """After half a minute."""
        return self.world.now > _CALM_AFTER

    def is_done(self) -> bool:
        """Everybody has left."""
        return all(one.is_dead or one.is_finished for one in self.world.processes)

    def look_at_the_end(self) -> None:
        """Nobody waits but the killed, who are forgotten by and by; and all keys go by themselves."""
        waiting = [one for one in self._turns.waiting() if not self._owners[one[:12]].is_dead]
        if waiting:
            self.failures.append(f"{waiting} still wait")
        self._turns.look_at_the_end()

    def details(self) -> str:
        """How often somebody went, and what happened."""
        return (
            f"rate {self._rate.count} burst {self._rate.burst} turns {self._turns.granted} waited {self._turns.waited} "
            f"went {self._went} busy {self._busy} closings {self._closings} cancelled "
            f"{self._first_steps.cancelled} restarts {self._server.restarts} clock set {self._clock_steps} times "
            f"blocks {self._blocks.count}"
        )
