"""The workload of clocks: that of queues, while the server's clock is set back, or ahead, again and again."""

from tests.simulation.queues import Queues
from tests.simulation.world import World


class Clocks(Queues):
    """What is delayed comes all the same, long before the clock has caught up."""

    name = "clocks"

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._steps = 0
        self.more_faults = [self._set_clock]

    def _set_clock(self) -> None:
        self._steps += 1
        # Ahead seldom: sessions end of it, and a message that was in hands five times then is a dead letter.
        seconds = self.world.rng.choice([-7200, -60, -1, -0.01, 0.01, 1])
        self.world.clock_off += seconds

    def details(self) -> str:
        """As of the queues, and how often the clock was set."""
        return f"{super().details()} clock set {self._steps} times"
