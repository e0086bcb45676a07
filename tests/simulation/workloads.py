"""The table of the workloads. A new one is a line here, and a module of the same name with a `Workload` that has it."""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.simulation.workload import Workload

WORKLOADS: Final = (
    "queues",
    "puts",
    "waits",
    "cancels",
    "keys",
    "once",
    "limits",
    "losses",
    "outages",
    "clocks",
    "leases",
    "downgrades",
    "permits",
    "rates",
    "conditions",
    "events",
    "barriers",
    "letters",
    "stages",
    "results",
    "controls",
    "deferred",
    "everything",
)


def kind_of(name: str) -> "type[Workload]":
    """The class of a workload. Only once the world is installed: the product takes the clocks when it is imported."""
    module = importlib.import_module(f"tests.simulation.{name}")
    kinds: list[type[Workload]] = [one for one in vars(module).values() if vars_name(one) == name]
    return kinds[0]


def vars_name(one: object) -> object:
    """The name that a class itself says, not what it stands on."""
    return vars(one).get("name") if isinstance(one, type) else None
