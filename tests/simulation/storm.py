"""A storm: every fault that there is, for workloads that account for what it takes.

Where the server comes back with older data, with none or as a replica that was behind, what it no longer knows is
given to the workload: that, and nothing else, may be lost or come again.
"""

from collections.abc import Callable
from typing import Final

from tests.simulation.blocks import Blocks
from tests.simulation.network import Link
from tests.simulation.server import Saved, Server
from tests.simulation.workload import Workload

_MOST: Final = 30
"""So often and no more, or those that are struck all the time come to no end."""


class Storm:
    """The faults of a storm, each named after its method."""

    def __init__(self, workload: Workload, ttl: float) -> None:
        """Begin with none; `begin` has them strike."""
        self._workload = workload
        self._world = workload.world
        self._server = Server(workload.world)
        self._blocks = Blocks(workload.world, ttl * 2.5)
        self._broken = self._clock_steps = 0
        self._is_behind = False

    def begin(self) -> None:
        """Add to what the workload has those that it withstands."""
        every: list[Callable[[], None]] = [
            *(self.half_open, self.mute, self.block, self.restart, self.fill_memory, self.refuse),
            *(self.set_clock, self.older_data, self.no_data, self.fail_over),
        ]
        self._workload.more_faults += [one for one in every if one.__name__ in self._workload.withstands]

    def half_open(self) -> None:
        """One direction of a connection dies: what is sent arrives and no answer does, or the reverse."""
        for link in self._a_link():
            link.loses_commands = self._world.rng.random() < 0.5
            link.loses_answers = not link.loses_commands

    def mute(self) -> None:
        """A connection through which nothing passes any more, as where a NAT has forgotten it."""
        for link in self._a_link():
            link.loses_commands = link.loses_answers = True

    def _a_link(self) -> list[Link]:
        links = [link for link in self._world.links() if not link.is_cut]
        if not links or self._broken >= _MOST:
            return []
        self._broken += 1
        return [self._world.rng.choice(links)]

    def block(self) -> None:
        """A process whose loop does not turn for a while."""
        self._blocks.strike()

    def restart(self) -> None:
        """The server ends and comes back with its data."""
        self._server.restart()

    def fill_memory(self) -> None:
        """The server has no memory for a while."""
        self._server.fill_memory()

    def refuse(self) -> None:
        """The server refuses every script for a while."""
        self._server.refuse()

    def set_clock(self) -> None:
        """The server's clock makes a step. Ahead no further than a time to live: each ends all sessions."""
        if self._clock_steps < _MOST:
            self._clock_steps += 1
            self._world.set_clock(self._world.rng.choice([-7200, -60, -1, -0.01, 0.01, 1]))

    def older_data(self) -> None:
        """The server comes back, after a while, with the data that it has now."""
        self._come_back_as(self._server.saved(), self._world.rng.expovariate(1), self._world.rng.expovariate(5))

    def no_data(self) -> None:
        """The server comes back with nothing."""
        self._come_back_as([], 0.0, self._world.rng.expovariate(5))

    def fail_over(self) -> None:
        """A replica takes over at once that is behind by what happens in some milliseconds from here on."""
        self._come_back_as(self._server.saved(), self._world.rng.expovariate(20), 0.0)

    def _come_back_as(self, saved: list[Saved], after: float, down: float) -> None:
        # One at a time: what is older than a loss would bring back what that has taken.
        if self._is_behind or not self._server.may_strike():
            return
        self._is_behind = True

        def come_back() -> None:
            self._is_behind = False
            loses = self._workload.loss()
            self._server.come_back_as(saved, down)
            loses()

        self._world.later(after, come_back)
