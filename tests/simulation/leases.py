"""The workload of leases: processes hold, downgrade and release under one name while they are killed and stopped.

Loops block, the server restarts with its data, with older data or with another clock, in storms with none, its clock is
set back, sessions end before those who hold and wait in them, callers are cancelled at their first steps. Whoever is
inside, and whose `check()` passes, never conflicts with another; tokens grow; everybody comes to an end.
"""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from shared.concurrency import ConcurrencyError, Lease, LeaseLost, Lock, ReadersWritersLease, Semaphore, Session
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.locks.leases.read_write_holds import Policy
from tests.simulation.belief import believes
from tests.simulation.blocks import Blocks
from tests.simulation.first_steps import FirstSteps
from tests.simulation.leaving import Leaving
from tests.simulation.network import EPOCH
from tests.simulation.remains import BRIEFLY, Rest, hold_fields, hours, rest
from tests.simulation.server import Server
from tests.simulation.tokens import Tokens
from tests.simulation.workload import LOSSES, Workload
from tests.simulation.world import Process, World

KEYS = lease_keys("c")
_ROUNDS = 12
_PROCESSES = 4
_PERMITS = 3
_POLICIES: list[Policy] = ["fair", "readers", "writers"]
_CALM_AFTER = 30.0


class Leases(Leaving):
    """One name, as a readers-writers lease, a semaphore or a lock."""

    name = "leases"
    kinds: tuple[str, ...] = ("rw", "rw", "semaphore", "lock")
    writers = 0.3
    """How many of those who ask for a readers-writers lease write."""

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        rng = world.rng
        self._policy = rng.choice(_POLICIES)
        self._kind = rng.choice(self.kinds)
        self._inside: dict[int, tuple[Process, str, Lease]] = {}
        self._tokens = Tokens(world, self.failures)
        self._entries = self._lost = 0
        self._number = 0
        self._closings = self._clock_steps = 0
        self._forgotten_at = 0
        """When the server had forgotten all holds, in microseconds of its clock, as tokens are."""
        self._server = Server(world)
        self._blocks = Blocks(world, ttl * 2.5)
        self._first_steps = FirstSteps(world, 0.1)
        # Not both: tokens go back where data is lost and the clock is set back.
        faults = [self._server.save, self._lose_a_little]
        self.withstands = Workload.withstands | LOSSES
        if world.rng.random() < 0.5:
            self.withstands = Workload.withstands
            faults = [self._restart_with_another_clock, self._set_clock_back]
        self.more_faults = [self._server.restart, self._blocks.strike, *faults]
        for _ in range(world.plan.actors_of(_PROCESSES)):
            self._start()

    def _lose_a_little(self) -> None:
        """Restart with older data that knows the lease: a server without any has forgotten who holds."""
        if self._server.has_saved(KEYS["record"]):
            self.losses += 1
            self._server.restart_with_saved_data()

    def loss(self) -> Callable[[], None]:
        """What it knows of the lease it keeps to; where it knows nothing, holders notice at their next renewal."""

        def note() -> None:
            self.losses += 1
            if not self.world.control.call("EXISTS", KEYS["record"]):
                self._forgotten_at = int((EPOCH + self.world.server_now) * 1e6)

        return note

    def _restart_with_another_clock(self) -> None:
        before = self._server.restarts
        self._server.restart()
        if self._server.restarts > before:
            self.world.clock_off += self.world.rng.choice([-7200, -1, 1, 7200])
            self._clock_steps += 1

    def _set_clock_back(self) -> None:
        self.world.clock_off -= self.world.rng.choice([0.01, 1, 7200])
        self._clock_steps += 1

    def _start(self) -> None:
        self.world.start(f"p{len(self.world.processes)}", self._live)

    async def _live(self, process: Process) -> None:
        """Hold often, in one session; or in several, each of which ends before those who hold and wait in it."""
        rng = self.world.rng
        left = [self.world.plan.most(_ROUNDS)] * rng.choice([1, 3])
        while any(left):
            async with self.session(process) as session:
                ask = self._asking(session)
                tasks = [
                    asyncio.create_task(self._hold_often(process, ask, left, which))
                    for which, rounds in enumerate(left)
                    if rounds
                ]
                if rng.random() < 0.3:
                    self._closings += 1
                    await asyncio.wait(tasks, timeout=rng.random() * 3)
                else:
                    await asyncio.gather(*tasks)
            for end in await asyncio.gather(*tasks, return_exceptions=True):
                if end is not None and not isinstance(end, ConcurrencyError):
                    raise end

    def _asking(self, session: Session) -> Callable[[str], AbstractAsyncContextManager[Any]]:
        if self._kind == "rw":
            lease = ReadersWritersLease(session, "c", policy=self._policy)
            return lambda mode: lease.write() if mode == "w" else lease.read()
        alone = Lock(session, "c") if self._kind == "lock" else Semaphore(session, "c", _PERMITS)
        return lambda _: alone

    async def _hold_often(
        self, process: Process, ask: Callable[[str], AbstractAsyncContextManager[Any]], left: list[int], which: int
    ) -> None:
        rng = self.world.rng
        while left[which]:
            left[which] -= 1
            mode = ("w" if rng.random() < self.writers else "r") if self._kind == "rw" else "x"
            self._number += 1
            try:
                async with asyncio.timeout(rng.random() * 0.2 if rng.random() < 0.1 else None):
                    await self._first_steps.run(self._hold(self._number, process, mode, ask(mode)))
            except TimeoutError:
                pass
            except LeaseLost:
                self._lost += 1

    async def _hold(self, number: int, process: Process, mode: str, claim: AbstractAsyncContextManager[Any]) -> None:
        self._tokens.asks(number, process, mode)
        try:
            async with claim as lease:
                await self._stay(number, process, mode, lease)
        finally:
            self._tokens.leaves(number)

    async def _stay(self, number: int, process: Process, mode: str, lease: Any) -> None:
        rng = self.world.rng
        self._enter(number, process, mode, lease)
        try:
            await asyncio.sleep(rng.expovariate(1 / rng.choice([0.001, 0.01, 0.3])))
            if mode == "w" and rng.random() < 0.1:
                self._inside[number] = (process, "r", lease)
                await lease.downgrade()
                await asyncio.sleep(0.01)
        finally:
            self._inside.pop(number, None)

    def _enter(self, number: int, process: Process, mode: str, lease: Lease) -> None:
        self._entries += 1
        others = [self._inside[other][1] for other in self.believers()]
        self._inside[number] = (process, mode, lease)
        self._tokens.enters(number, lease.token)
        if number not in self.believers():
            return
        if self._kind == "rw" and ((mode == "w" and others) or (mode == "r" and "w" in others)):
            self.failures.append(f"{mode} beside {sorted(set(others))} at {self.world.now:.3f} s")
        if self._kind == "semaphore" and len(others) >= (limit := self.most_permits()):
            self.failures.append(f"{len(others) + 1} of {limit} permits at {self.world.now:.3f} s")
        if self._kind == "lock" and others:
            self.failures.append("two in a lock")
        if mode != "r" and self._kind != "semaphore":
            self._tokens.enters_alone(lease.token)

    def believers(self) -> list[int]:
        """Who is inside, and relies on a hold that the server has not forgotten."""
        return [
            number
            for number, (process, _, held) in self._inside.items()
            if held.token >= self._forgotten_at and believes(self.world, process, held)
        ]

    def most_permits(self) -> int:
        """How many may have a permit now, of those who are inside."""
        return _PERMITS

    # --- what the run asks ------------------------------------------------------------------------------------------

    def victims(self) -> list[Process]:
        """All that are not done yet."""
        return [one for one in self.world.processes if not (one.is_dead or one.is_finished)]

    def replace(self, killed: Process) -> None:
        """Another one, which begins anew; the killed one is inside no more."""
        for number in [number for number, (process, *_) in self._inside.items() if process is killed]:
            del self._inside[number]
        self._start()

    def is_late(self) -> bool:
        """After half a minute."""
        return self.world.now > _CALM_AFTER

    async def visit(self, session: Session) -> None:
        """Hold it as often as may be, while others wait in vain, who write and read."""
        ask = self._asking(session)
        await asyncio.gather(
            *(self._stay_briefly(ask("w"), 0.0, None) for _ in range(4)),
            *(self._stay_briefly(ask(mode), 0.05, 0.05) for mode in "wrwr"),
        )

    @staticmethod
    async def _stay_briefly(claim: AbstractAsyncContextManager[Any], after: float, within: float | None) -> None:
        await asyncio.sleep(after)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within), claim:
                await asyncio.sleep(0.15)

    def rests(self) -> dict[bytes, Rest]:
        """The record, for an hour at least; and for ten minutes what was withdrawn in doubt."""
        return {KEYS["record"]: rest(hours(self.ttl)), KEYS["withdrawn"]: BRIEFLY}

    def look_at_the_end(self) -> None:
        """Nothing is left of those who held and waited."""
        super().look_at_the_end()
        if not self.failures:  # else those who hold are still there
            self.failures += [f"at rest: {field} is in the record" for field in hold_fields(self.world, KEYS["record"])]

    def details(self) -> str:
        """Which kind, and how often somebody was inside."""
        kind = f"rw {self._policy}" if self._kind == "rw" else self._kind
        return (
            f"{kind} entries {self._entries} lost {self._lost} closings {self._closings} cancelled "
            f"{self._first_steps.cancelled} restarts {self._server.restarts} losses {self.losses} "
            f"clock set {self._clock_steps} times "
            f"blocks {self._blocks.count}"
        )
