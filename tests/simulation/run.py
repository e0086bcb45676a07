"""One run: a workload in a world, under faults, until it is done or stuck."""

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.simulation.faults import Faults
from tests.simulation.plan import Plan
from tests.simulation.product import enter
from tests.simulation.storm import Storm
from tests.simulation.workload import Workload
from tests.simulation.world import World

__all__ = ["Outcome", "Workload", "run"]

_LOOK_EVERY: Final = 200
_STUCK_AFTER: Final = 900.0
_CALM_AFTER: Final = _STUCK_AFTER / 2
"""From here on nothing breaks: where all are stopped nearly all the time, nothing comes to an end."""
_MOST_STEPS: Final = 1_000_000
_AS_PLANNED: Final = Plan()


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    workload: str
    seed: int
    failures: list[str]
    details: str
    trace: str
    steps: int
    strikes: list[str]
    """The faults that struck, in order; empty for one that was left out."""

    @property
    def line(self) -> str:
        """The run in a line; the same for the same seed."""
        how = "; ".join(self.failures[:3]) if self.failures else "ok"
        return f"{self.workload} {self.seed}: {how} -- {self.details} trace {self.trace}"


def run(kind: Callable[[World, float], Workload], seed: int, path: str, plan: Plan = _AS_PLANNED) -> Outcome:
    """Run a workload from a seed at the server behind this socket, which is emptied."""
    world = World(seed, path, plan)
    enter(world)
    world.control.call("FLUSHALL", "SYNC")
    world.control.call("SCRIPT", "FLUSH")
    world.control.call("CONFIG", "SET", "maxmemory", "0")
    world.control.call("ACL", "SETUSER", "default", "~*")
    ttl = world.rng.choice([1.0, 2.0])
    workload = kind(world, ttl)
    if plan.storm:
        Storm(workload, ttl).begin()
    faults = Faults(workload, ttl, plan)
    try:
        _until_done(world, workload, faults)
        workload.look_at_the_end()
    except Exception:  # noqa: BLE001  # whatever the product raises here is what was looked for
        workload.failures.append(traceback.format_exc()[-800:])
    for link in world.links():
        link.end_at_server()
    world.control.close()
    details = (
        f"ttl {ttl:g} {workload.details()} processes {len(world.processes)} kills {faults.kills} stops {faults.stops} "
        f"virtual {world.now:.1f} s calls {world.calls} steps {world.steps}"
    )
    if plan.storm:
        counts = Counter(name for name in faults.strikes if name not in {"kill", "stop", ""})
        details += "".join(f" {name} {count}" for name, count in sorted(counts.items()))
    return Outcome(workload.name, seed, workload.failures, details, world.trace, world.steps, faults.strikes)


def _until_done(world: World, workload: Workload, faults: Faults) -> None:
    while not workload.failures:
        if not world.step():
            _note_problems(world, workload)
            if workload.is_done():
                return
            # Or somebody has come at the end who was not there yet.
            if not world.step():
                workload.failures.append(f"nothing is left to do at {world.now:.1f} s")
            continue
        if world.steps % _LOOK_EVERY:
            continue
        _note_problems(world, workload)
        if not faults.are_over and (workload.is_calm() or world.now > _CALM_AFTER):
            faults.end()
        if workload.is_done():
            return
        if world.now > _STUCK_AFTER or world.steps > _MOST_STEPS:
            workload.failures.append(f"stuck at {world.now:.0f} s, step {world.steps}")


def _note_problems(world: World, workload: Workload) -> None:
    workload.failures += [f"{one.name}: {one.problem!r}" for one in world.processes if one.problem is not None]
