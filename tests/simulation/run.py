"""One run: a workload in a world, under faults, until it is done or stuck."""

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.product import enter
from tests.simulation.world import Process, World

_LOOK_EVERY = 200
_STUCK_AFTER = 900.0


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    workload: str
    seed: int
    failures: list[str]
    details: str
    trace: str

    @property
    def line(self) -> str:
        """The run in a line; the same for the same seed."""
        how = "; ".join(self.failures[:3]) if self.failures else "ok"
        return f"{self.workload} {self.seed}: {how} -- {self.details} trace {self.trace}"


class Workload(ABC):
    """What the processes of a world do, and what must hold. A room of its own for each."""

    name: str
    longest_stop = 2.5
    """For how long a process is stopped at most, in times to live."""
    worst_delay = 0.03
    """The mean of the slowest network, in seconds; one packet in a hundred takes a hundred times as long."""

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


class Faults:
    """Kills, stops and forgotten scripts, at random times; `end` stops them."""

    def __init__(self, workload: Workload, ttl: float) -> None:
        """Begin; how often, and how bad the network is, is drawn from the seed."""
        self._workload = workload
        self._world = world = workload.world
        self._ttl = ttl
        self._rate = world.rng.choice([1, 4, 15])
        world.cuts = world.rng.choice([0.001, 0.01, 0.05])
        world.mean_delay = min(workload.worst_delay, world.rng.choice([0.0005, 0.005, 0.03]))
        self.kills = self.stops = 0
        self.are_over = False
        world.later(0.05, self._strike)

    def end(self) -> None:
        """From here on nothing breaks."""
        self.are_over = True
        self._world.cuts = 0.0

    def _strike(self) -> None:
        if self.are_over:
            return
        rng = self._world.rng
        draw = rng.random()
        victims = self._workload.victims()
        if draw < 0.35 and victims and self.kills < 60:
            killed = rng.choice(victims)
            self._world.kill(killed)
            self._workload.replace(killed)
            self.kills += 1
        elif draw < 0.7:
            stopped = rng.choice([one for one in self._world.processes if not one.is_dead])
            stopped.stopped_until = self._world.now + rng.random() * self._ttl * self._workload.longest_stop
            self.stops += 1
        elif draw < 0.75:
            self._world.control.call("SCRIPT", "FLUSH")
        elif self._workload.more_faults:
            rng.choice(self._workload.more_faults)()
        self._world.later(rng.expovariate(self._rate), self._strike)


def run(kind: Callable[[World, float], Workload], seed: int, path: str) -> Outcome:
    """Run a workload from a seed at the server behind this socket, which is emptied."""
    world = World(seed, path)
    enter(world)
    world.control.call("FLUSHALL", "SYNC")
    world.control.call("SCRIPT", "FLUSH")
    world.control.call("CONFIG", "SET", "maxmemory", "0")
    world.control.call("ACL", "SETUSER", "default", "~*")
    ttl = world.rng.choice([1.0, 2.0])
    workload = kind(world, ttl)
    faults = Faults(workload, ttl)
    try:
        _until_done(world, workload, faults)
        workload.look_at_the_end()
    except Exception:  # noqa: BLE001  # whatever the product raises here is what was looked for
        workload.failures.append(traceback.format_exc()[-800:])
    for link in world.links():
        link.end_at_server()
    world.control.close()
    details = (
        f"ttl {ttl:g} {workload.details()} kills {faults.kills} stops {faults.stops} "
        f"virtual {world.now:.1f} s calls {world.calls} steps {world.steps}"
    )
    return Outcome(workload.name, seed, workload.failures, details, world.trace)


def _until_done(world: World, workload: Workload, faults: Faults) -> None:
    while not workload.failures:
        if not world.step():
            if not workload.is_done():
                workload.failures.append(f"nothing is left to do at {world.now:.1f} s")
            return
        if world.steps % _LOOK_EVERY:
            continue
        for process in world.processes:
            if process.problem is not None:
                workload.failures.append(f"{process.name}: {process.problem!r}")
        if not faults.are_over and workload.is_calm():
            faults.end()
        if workload.is_done():
            return
        if world.now > _STUCK_AFTER:
            workload.failures.append(f"stuck at {world.now:.0f} s")
