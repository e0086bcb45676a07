"""Blocks: loops that do not turn for a while, while the threads of their heartbeats go on."""

from typing import Final

from tests.simulation.world import World

_MOST: Final = 30
"""So often and no more, or those that are struck all the time come to no end."""


class Blocks:
    """Handlers that block their loop, as somebody who waits for them sees it."""

    def __init__(self, world: World, longest: float) -> None:
        """`longest`: for how many seconds at most."""
        self._world = world
        self._longest = longest
        self.count = 0

    def strike(self) -> None:
        """Block the loop of a process."""
        if self.count >= _MOST:
            return
        blocked = self._world.rng.choice([one for one in self._world.processes if not one.is_dead])
        blocked.blocked_until = self._world.now + self._world.rng.random() * self._longest
        self.count += 1
