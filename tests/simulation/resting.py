"""Workloads that come to rest: all is done, sessions close, and nothing is left behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from shared.concurrency import Session
from shared.concurrency.queues.membership.keys import queue_keys
from tests.simulation.contents import Contents, contents
from tests.simulation.forgiven import Forgiven
from tests.simulation.ledger import Ledger
from tests.simulation.leftovers import left_at_server, left_in_process, messages_left, sessions_left, tasks_left
from tests.simulation.workload import Workload
from tests.simulation.world import Process, World

_URL: Final = "redis://simulated/0"
_REST: Final = 4.0
"""Seconds without work, and three times to live; nobody waits then, for looks of insurance come once a second."""


class Resting(Workload):
    """A workload of processes that live until all is done; a ledger looks at each of its queues."""

    queues: tuple[str, ...] = ("q",)

    def __init__(self, world: World, ttl: float) -> None:
        """Start no process yet."""
        super().__init__(world)
        self.ttl = ttl
        self.ledgers = {name: Ledger(world, name, self.failures) for name in self.queues}
        self.forgiven = {name: Forgiven() for name in self.queues}
        """What losses of data have taken, and brought back."""
        self.is_closing = False
        """Whether all is done, so that whoever works for others may end."""
        self._rested_at = 0.0
        self._left: dict[str, Any] = {}
        self._sessions: dict[Process, Session] = {}
        self._mains: dict[Process, tuple[str, Callable[[Process], Coroutine[Any, Any, None]]]] = {}

    def start(
        self, name: str, main: Callable[[Process], Coroutine[Any, Any, None]], *, may_die: bool = False
    ) -> Process:
        """Start a process; one that may die is killed now and then, and started again under another name."""
        process = self.world.start(name, main)
        if may_die:
            self._mains[process] = (name.partition("~")[0], main)
        return process

    @asynccontextmanager
    async def session(self, process: Process) -> AsyncIterator[Session]:
        """A session of the process, which is looked at when all is at rest."""
        async with Session.open(_URL, ttl=self.ttl, connect_timeout=1000) as session:
            self._sessions[process] = session
            try:
                yield session
            finally:
                self._sessions.pop(process, None)

    async def closing(self) -> None:
        """Wait until all is done; an event would belong to one loop, and there are many."""
        while not self.is_closing:  # noqa: ASYNC110
            await asyncio.sleep(0.3)

    def victims(self) -> list[Process]:
        """Those that may die."""
        return [one for one in self._mains if not (one.is_dead or one.is_finished)]

    def replace(self, killed: Process) -> None:
        """Another one that does the same."""
        name, main = self._mains.pop(killed)
        self._sessions.pop(killed, None)
        self.start(f"{name}~{len(self.world.processes)}", main, may_die=True)

    def loss(self) -> Callable[[], None]:
        """What each queue had and has no more is forgiven."""
        before = self._contents()

        def note() -> None:
            for name, after in self._contents().items():
                self.ledgers[name].forget()
                self.forgiven[name].note(before[name], after)
                self.lost(name, before[name], after)

        return note

    def _contents(self) -> dict[str, Contents]:
        control = self.world.control
        return {name: contents(control, queue_keys(name), f"{{{name}}}:counts") for name in self.queues}

    def lost(self, name: str, before: Contents, after: Contents) -> None:
        """What else a loss of data takes from what this workload knows of a queue."""

    def has_ended(self) -> bool:
        """Whether those who begin work have come to their end."""
        raise NotImplementedError

    def has_more(self) -> dict[str, Any]:
        """What else is to come to rest, beside the queues."""
        return {}

    def look_at_rest(self) -> None:
        """Note in `failures` what must not be when all is done, and sessions are still open."""

    def is_done(self) -> bool:
        """Whether all was done for a while, and then all sessions were closed."""
        if self.is_closing:
            living = [one for one in self.world.processes if not one.is_dead]
            self._left = {one.name: left for one in living if (left := tasks_left(one) or not one.task.done())}
            return not self._left
        rested = self.world.now - self._rested_at
        if not self.has_ended() or self._is_at_work():
            self._rested_at = self.world.now
        elif rested > _REST + 3 * self.ttl:
            self._close()
        elif rested > 1:
            # Else a session may be over here, for an answer was late, and stay at the server for its time to live.
            self.world.mean_delay = min(self.world.mean_delay, 0.001)
            # Nor does one stay because its goodbye went into a connection that had been dead while nobody used it.
            for link in list(self.world.links()):
                if link.loses_commands or link.loses_answers:
                    link.cut()
        return False

    def _close(self) -> None:
        self.look_at_rest()
        for process, session in self._sessions.items():
            self.failures += [f"{process.name} at rest: {what}" for what in left_in_process(session)]
        self.is_closing = True

    def _is_at_work(self) -> bool:
        self._left = {name: left for name in self.queues if (left := messages_left(self.world, name))} | self.has_more()
        living = sum(not one.is_dead for one in self.world.processes)
        for name in self.queues:
            if sessions_left(self.world, name) > living:
                self._left[f"sessions of {name}"] = sessions_left(self.world, name)
        return bool(self._left)

    def look_at_the_end(self) -> None:
        """Nothing is kept of sessions that have ended."""
        if self.failures:  # else they have not
            return
        for name in self.queues:
            self.failures += [f"left of the ended: {what}" for what in left_at_server(self.world, name)]

    def details(self) -> str:
        """What is not done, and how full the queues were."""
        tops = " ".join(f"{name} {ledger.top} line {ledger.longest_line}" for name, ledger in self.ledgers.items())
        return f"{f'left {self._left} ' if self._left else ''}top {tops}"
