"""The workload of outages: that of queues, where more than processes fails.

The server restarts and refuses for a while, connections fall silent with neither end being told, loops block.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from shared.concurrency import ServerRefused
from tests.simulation.blocks import Blocks
from tests.simulation.queues import Queues
from tests.simulation.server import Server
from tests.simulation.workload import COUNTED
from tests.simulation.world import Process, World

_MOST = 30
"""So often and no more, or those that are struck all the time come to no end."""


class Outages(Queues):
    """Producers and consumers of one bounded queue, as in Queues."""

    name = "outages"
    withstands = COUNTED | {"refuse"}

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._server = Server(world)
        self._blocks = Blocks(world, ttl * 2.5)
        self._mutes = 0
        self.more_faults = [self._server.restart, self._server.refuse, self._mute, self._blocks.strike]

    async def _produce(self, process: Process) -> None:
        await _started_again(process, super()._produce)

    async def _consume(self, process: Process) -> None:
        await _started_again(process, super()._consume)

    def _mute(self) -> None:
        """A connection through which nothing passes any more, as where a NAT has forgotten it."""
        if self._mutes < _MOST and (links := [link for link in self.world.links() if not link.is_cut]):
            mute = self.world.rng.choice(links)
            mute.loses_commands = mute.loses_answers = True
            self._mutes += 1

    def details(self) -> str:
        """As of Queues, and what happened."""
        server = self._server
        return (
            f"{super().details()} restarts {server.restarts} refusals {server.refusals} mutes {self._mutes} "
            f"blocks {self._blocks.count}"
        )


async def _started_again(process: Process, main: Callable[[Process], Coroutine[Any, Any, None]]) -> None:
    """As whoever starts services does: one that begins while the server refuses ends, and begins again."""
    while True:
        try:
            return await main(process)
        except ServerRefused:
            await asyncio.sleep(0.5)
