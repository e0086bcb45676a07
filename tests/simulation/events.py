"""The workload of events: one process sets, clears and deletes an event, others wait for it and are killed.

Whoever waits returns only for a set that he can have seen, and does return when the event stays set. The server
restarts with its data, or with none.
"""

import asyncio
import contextlib

from shared.concurrency import Event, Session
from shared.concurrency.locks.leases.keys import event_keys
from tests.simulation.blocks import Blocks
from tests.simulation.changes import Changes
from tests.simulation.leaving import Leaving
from tests.simulation.remains import BRIEFLY, Rest, rest
from tests.simulation.server import Server
from tests.simulation.world import Process, World

_KEYS = event_keys("e")
_WEEK = 7 * 24.0
"""For how long a cleared event is kept, in hours."""
_WAITERS = 3
_CHANGES = 40


class Events(Leaving):
    """One event."""

    name = "events"
    calls = frozenset({_KEYS["calls"]})

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._changes = Changes(world)
        self._woken = self._losses = 0
        self._is_over = False
        self._server = Server(world)
        self._blocks = Blocks(world, ttl * 2.5)
        self.more_faults = [self._server.restart, self._lose_all, self._blocks.strike]
        self._setter = world.start("setter", self._set_often)
        for _ in range(world.plan.actors_of(_WAITERS)):
            self._start()

    def _start(self) -> None:
        self.world.start(f"waiter{len(self.world.processes)}", self._wait_often)

    def _lose_all(self) -> None:
        self._losses += 1
        self._changes.end(self._changes.begin("lose"))
        self._server.flush()

    # --- the processes ----------------------------------------------------------------------------------------------

    async def _set_often(self, process: Process) -> None:
        rng = self.world.rng
        async with self.session(process) as session:
            event = Event(session, "e")
            for _ in range(self.world.plan.most(_CHANGES)):
                await asyncio.sleep(rng.expovariate(3))
                await self._change(event, rng.choice(["set", "set", "clear", "delete"]))
            self._is_over = True
            while not all(one.is_dead or one.is_finished for one in self.world.processes if one is not self._setter):
                await self._change(event, "set")  # again: the server may have forgotten it since
                await asyncio.sleep(1)

    async def _change(self, event: Event, how: str) -> None:
        change = self._changes.begin(how)
        await getattr(event, how)()
        self._changes.end(change)

    async def _wait_often(self, process: Process) -> None:
        async with self.session(process) as session:
            event = Event(session, "e")
            await asyncio.gather(*(self._wait_some(event) for _ in range(self.world.rng.choice([1, 3]))))

    async def _wait_some(self, event: Event) -> None:
        rng = self.world.rng
        while not self._is_over:
            begun = self.world.now
            try:
                async with asyncio.timeout(rng.choice([0, 0.001, 0.3]) if rng.random() < 0.2 else None):
                    await event.wait()
            except TimeoutError:
                continue
            self._woken += 1
            self._look_for_a_cause(begun)
            await asyncio.sleep(rng.expovariate(5))
        await event.wait()

    def _look_for_a_cause(self, begun: float) -> None:
        if not any(change.what == "set" for change in self._changes.since(begun)):
            self.failures.append(f"woken at {self.world.now:.3f} s by no set since {begun:.3f} s")

    # --- what the run asks ------------------------------------------------------------------------------------------

    def victims(self) -> list[Process]:
        """Those who wait, and are not done yet."""
        return [one for one in self.world.processes if not (one is self._setter or one.is_dead or one.is_finished)]

    def replace(self, killed: Process) -> None:  # noqa: ARG002
        """Another one, which waits in its place."""
        self._start()

    def is_late(self) -> bool:
        """All changes were made; from here on it stays set."""
        return self._is_over

    async def visit(self, session: Session) -> None:
        """Wait in vain, set it, and clear it again: nobody watches then."""
        event = Event(session, "e")
        await event.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await event.wait()
        await event.set()
        await event.wait()
        await event.clear()

    def rests(self) -> dict[bytes, Rest]:
        """A cleared event is kept for a week, calls that may be repeated for ten minutes."""
        return {_KEYS["event"]: rest(_WEEK), _KEYS["calls"]: BRIEFLY}

    def details(self) -> str:
        """How often it was changed, and somebody woken."""
        return (
            f"changes {len(self._changes.all)} woken {self._woken} losses {self._losses} restarts {self._server.restarts} "
            f"blocks {self._blocks.count}"
        )
