"""Mutes: connections that fall silent while neither end is told, as where a NAT has forgotten them."""

from typing import Final

from tests.simulation.world import World

_MOST: Final = 30
"""So often and no more, or those that are struck all the time come to no end."""


class Mutes:
    """A network that forgets connections."""

    def __init__(self, world: World) -> None:
        """Begin with none."""
        self._world = world
        self.count = 0

    def strike(self) -> None:
        """Let nothing pass through a connection any more."""
        if self.count < _MOST and (links := [link for link in self._world.links() if not link.is_cut]):
            mute = self._world.rng.choice(links)
            mute.loses_commands = mute.loses_answers = True
            self.count += 1
