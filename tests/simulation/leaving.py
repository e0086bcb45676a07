"""Workloads of processes that come, use one name of a lock, and leave: nothing is left behind of them.

Once all have left, and whoever died is dead for the server, too, a visitor comes and uses the name.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from shared.concurrency import Session
from shared.concurrency.session.session import process_of
from tests.simulation.leftovers import tasks_left
from tests.simulation.remains import Rest, left_at_server, left_in_process
from tests.simulation.workload import Workload
from tests.simulation.world import Process, World

_URL: Final = "redis://simulated/0"


class Leaving(Workload):
    """A workload that ends once everybody has left, a visitor last of all."""

    calls: frozenset[bytes] = frozenset()
    """The keys that know calls for a while, also of those who have left."""

    def __init__(self, world: World, ttl: float) -> None:
        """Start no process yet."""
        super().__init__(world)
        self.ttl = ttl
        self.losses = 0
        """How often the server has lost data: who is dead may be there again."""
        self._sessions: list[tuple[Process, Session]] = []
        self._visitor: Process | None = None

    @asynccontextmanager
    async def session(self, process: Process) -> AsyncIterator[Session]:
        """A session of the process, which is looked at once all have left."""
        async with Session.open(_URL, ttl=self.ttl, connect_timeout=1000) as session:
            self._sessions.append((process, session))
            yield session

    @abstractmethod
    async def visit(self, session: Session) -> None:
        """Use the name, which nobody else uses any more, and stop waiting for it."""

    @abstractmethod
    def rests(self) -> Mapping[bytes, Rest]:
        """What the server keeps of a name that nobody uses."""

    @abstractmethod
    def is_late(self) -> bool:
        """Whether it has gone on for long enough, so that all leave."""

    def is_calm(self) -> bool:
        """Nothing breaks while the visitor is there."""
        return self._have_left() or self.is_late()

    def is_done(self) -> bool:
        """Everybody has left, the visitor last."""
        if not self._have_left() or any(tasks_left(one) for one in self.world.processes if not one.is_dead):
            return False
        if self._visitor is None:
            # Or a goodbye may come too late to be waited for.
            self.world.mean_delay = min(self.world.mean_delay, 0.001)
            self._visitor = self.world.start("visitor", self._visit)
        return self._visitor.task.done()

    def _have_left(self) -> bool:
        return all(one.is_dead or one.is_finished for one in self.world.processes)

    async def _visit(self, process: Process) -> None:
        losses = -1
        while losses != self.losses:
            losses = self.losses
            # Who was killed is dead by now, unless the clock was set back: the first visit notices that.
            for _ in range(2):
                await asyncio.sleep(self.ttl + 1)
                async with self.session(process) as session:
                    await self.visit(session)

    def look_at_the_end(self) -> None:
        """Nothing is left of those who have left."""
        if self.failures:  # else they have not
            return
        for process, session in self._sessions:
            if not process.is_dead:
                self.failures += [f"left in {process.name}: {what}" for what in left_in_process(session)]
        # Who left before may have been out of reach when it did.
        visitor = tuple(process_of(session).owner.encode() for one, session in self._sessions if one is self._visitor)
        self.failures += [f"at rest: {what}" for what in left_at_server(self.world, self.rests(), self.calls, visitor)]
