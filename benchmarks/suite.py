"""The suite: every workload that `./run bench` knows, in the order in which they run."""

from typing import Final

from benchmarks.extras import EXTRAS
from benchmarks.workloads import WORKLOADS, Workload

SUITE: Final[tuple[Workload, ...]] = (*WORKLOADS, *EXTRAS)
