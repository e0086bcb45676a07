"""The workload of rates: tasks of several processes wait for one RateLimit, are cancelled, stopped and killed.

Loops block, the server restarts with its data, its clock is set back, sessions end before those who wait in them. Never
does more go than the rate and one burst, whoever came first goes first, and nothing is left of who waited.
"""

import asyncio
import contextlib
import math

from shared.concurrency import ConcurrencyError, LeaseBusy, Rate, RateLimit, Session
from shared.concurrency.locks.leases.keys import rate_keys
from tests.simulation.blocks import Blocks
from tests.simulation.first_steps import FirstSteps
from tests.simulation.leaving import Leaving
from tests.simulation.remains import Rest
from tests.simulation.server import Server
from tests.simulation.turns import Turns
from tests.simulation.world import Process, World

_KEYS = rate_keys("r")
_RATES = (Rate(5), Rate(20, burst=3), Rate(100, burst=10))
_PROCESSES = 4
_ROUNDS = 12
_CALM_AFTER = 30.0


class Rates(Leaving):
    """One rate limit."""

    name = "rates"

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._rate = world.rng.choice(_RATES)
        self._turns = Turns(world, "r", self._rate)
        self.failures = self._turns.failures
        self._went = self._busy = self._closings = self._clock_steps = 0
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
            async with self.session(process) as session:
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

    def is_late(self) -> bool:
        """After half a minute."""
        return self.world.now > _CALM_AFTER

    async def visit(self, session: Session) -> None:
        """Go once more, in more tasks than may: nobody waits in front, and some wait for too long."""
        limit = RateLimit(session, "r", self._rate)
        await asyncio.gather(*(self._go_soon(limit) for _ in range(self._rate.burst + 3)))

    async def _go_soon(self, limit: RateLimit) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1 / self._rate.count):
                await self._go(limit)

    def rests(self) -> dict[bytes, Rest]:
        """What is not paid for yet, and who left in doubt: for longer where the clock was set back since."""
        return {_KEYS["rate"]: (0, math.inf), _KEYS["departed"]: (0, math.inf)}

    def look_at_the_end(self) -> None:
        """Nobody waits, and all keys go by themselves."""
        super().look_at_the_end()
        self._turns.look_at_the_end()

    def details(self) -> str:
        """How often somebody went, and what happened."""
        return (
            f"rate {self._rate.count} burst {self._rate.burst} turns {self._turns.granted} waited {self._turns.waited} "
            f"went {self._went} busy {self._busy} closings {self._closings} cancelled "
            f"{self._first_steps.cancelled} restarts {self._server.restarts} clock set {self._clock_steps} times "
            f"blocks {self._blocks.count}"
        )
