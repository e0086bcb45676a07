"""The faults of a run: what befalls its processes and its server, at times drawn from the seed."""

from collections.abc import Callable
from typing import Final

from tests.simulation.plan import Plan
from tests.simulation.workload import Workload

_MOST_KILLS: Final = 60
_BEST_DELAY: Final = 0.0005


class Faults:
    """Kills, stops, forgotten scripts and what the workload adds, at random times; `end` stops them."""

    def __init__(self, workload: Workload, ttl: float, plan: Plan) -> None:
        """Begin; how often, and how bad the network is, is drawn from the seed."""
        self._workload = workload
        self._world = world = workload.world
        self._ttl = ttl
        self._plan = plan
        self._rate = world.rng.choice([1, 4, 15])
        cuts = world.rng.choice([0.001, 0.01, 0.05])
        world.cuts = 0.0 if "cut" in plan.without else cuts
        delay = min(workload.worst_delay, world.rng.choice([0.0005, 0.005, 0.03]))
        world.mean_delay = _BEST_DELAY if "delay" in plan.without else delay
        self.kills = self.stops = 0
        self.strikes: list[str] = []
        """The names of those that struck, in order; empty where one was left out."""
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
        fault = self._draw()
        if fault is not None:
            name = fault_name(fault)
            strikes = self._plan.has(name, len(self.strikes) + 1)
            self.strikes.append(name if strikes else "")
            if strikes:
                fault()
        self._world.later(rng.expovariate(self._rate), self._strike)

    def _draw(self) -> Callable[[], None] | None:
        # In a storm what the workload adds strikes as often as kills and stops do.
        kill, stop, flush = (0.2, 0.4, 0.45) if self._plan.storm else (0.35, 0.7, 0.75)
        draw = self._world.rng.random()
        if draw < kill and self.kills < _MOST_KILLS and self._workload.victims():
            return self._kill
        if draw < stop:
            return self._stop
        if draw < flush:
            return self._flush_scripts
        return self._world.rng.choice(self._workload.more_faults) if self._workload.more_faults else None

    def _kill(self) -> None:
        killed = self._world.rng.choice(self._workload.victims())
        self._world.kill(killed)
        self._workload.replace(killed)
        self.kills += 1

    def _stop(self) -> None:
        stopped = self._world.rng.choice([one for one in self._world.processes if not one.is_dead])
        stopped.stopped_until = self._world.now + self._world.rng.random() * self._ttl * self._workload.longest_stop
        self.stops += 1

    def _flush_scripts(self) -> None:
        self._world.control.call("SCRIPT", "FLUSH")


def fault_name(fault: Callable[[], None]) -> str:
    """What a fault is called on the command line: as the function that does it."""
    return str(getattr(fault, "__name__", "fault")).strip("_").replace("_", "-")
