"""Insiders: the processes that are in a lock, and whether two of them believe so."""

import math

from shared.concurrency import Lease
from tests.simulation.belief import believes
from tests.simulation.world import Process, World


class Insiders:
    """Those who are in one lock."""

    def __init__(self, world: World, ttl: float, failures: list[str]) -> None:
        """Note in `failures` what must not be."""
        self._world, self._ttl, self._failures = world, ttl, failures
        self._inside: dict[Process, Lease] = {}
        self._lost_at = -math.inf

    def enter(self, process: Process, lease: Lease) -> None:
        """A process has got it."""
        if not believes(self._world, process, lease):
            return
        # Who was inside when the server lost the lock believes so for a time to live at most.
        is_known = self._world.now > self._lost_at + self._ttl
        if is_known and any(believes(self._world, *other) for other in self._inside.items()):
            self._failures.append(f"two in a lock at {self._world.now:.3f} s")
        self._inside[process] = lease

    def leave(self, process: Process) -> None:
        """A process has left, or was killed."""
        self._inside.pop(process, None)

    def lose(self) -> None:
        """The server has lost data, and may know nothing of who is inside."""
        self._lost_at = self._world.now
