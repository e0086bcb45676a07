"""A workload: what the processes of a world do, and what must hold."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from tests.simulation.world import Process, World

LOSSES: Final = frozenset({"older_data", "no_data", "fail_over"})
"""Faults of a storm that lose what was written."""


class Workload(ABC):
    """What the processes of a world do, and what must hold. A room of its own for each."""

    name: str
    longest_stop = 2.5
    """For how long a process is stopped at most, in times to live."""
    worst_delay = 0.03
    """The mean of the slowest network, in seconds; one packet in a hundred takes a hundred times as long."""

    withstands = frozenset({"half_open", "mute", "block", "restart", "fill_memory"})
    """The faults of a storm that it accounts for."""

    def __init__(self, world: World) -> None:
        """Start the processes."""
        self.world = world
        self.failures: list[str] = []
        self.more_faults: list[Callable[[], None]] = []
        """What may happen beside kills, stops and forgotten scripts."""

    @abstractmethod
    def victims(self) -> list[Process]:
        """The processes that may be killed now."""

    @abstractmethod
    def replace(self, killed: Process) -> None:
        """Start another process in the place of a killed one."""

    def loss(self) -> Callable[[], None]:
        """The server is about to lose what was written; what is returned is called when it has."""
        raise NotImplementedError(f"{self.name} does not account for losses")

    @abstractmethod
    def is_calm(self) -> bool:
        """Whether the faults should end now, so that the rest must come to an end."""

    @abstractmethod
    def is_done(self) -> bool:
        """Whether all is done and the server is at rest."""

    @abstractmethod
    def look_at_the_end(self) -> None:
        """Note in `failures` what must not be."""

    @abstractmethod
    def details(self) -> str:
        """What the run was like."""


COUNTED: Final = Workload.withstands | LOSSES | {"set_clock"}
"""The faults that a workload of numbers withstands whose checks leave out what is forgiven."""
