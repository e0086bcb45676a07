"""The suite: every workload that `./run bench` knows, in the order in which they run."""

from collections.abc import Collection
from typing import Final

from benchmarks.extras import EXTRAS
from benchmarks.growth import GROWTH
from benchmarks.workloads import WORKLOADS, Workload

SUITE: Final[tuple[Workload, ...]] = (*WORKLOADS, *EXTRAS)
"""What runs where nothing is named."""
GROUPS: Final = {"growth": tuple(workload.name for workload in GROWTH)}
"""Names for several at once."""


def names() -> list[str]:
    """Return what may be named."""
    return [*(workload.name for workload in (*SUITE, *GROWTH)), *GROUPS]


def chosen(wanted: Collection[str]) -> list[Workload]:
    """Return the workloads with these names; without names those of the suite."""
    if not wanted:
        return list(SUITE)
    all_wanted = set(wanted).union(*(GROUPS.get(name, ()) for name in wanted))
    return [workload for workload in (*SUITE, *GROWTH) if workload.name in all_wanted]
