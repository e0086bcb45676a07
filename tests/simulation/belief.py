"""Belief: whether somebody who is inside may act on it now."""

from shared.concurrency import Lease, LeaseLost
from tests.simulation.world import Process, World


def believes(world: World, process: Process, lease: Lease) -> bool:
    """Whether the process runs, and `check()` of its lease passes."""
    if process.is_dead or max(process.stopped_until, process.blocked_until) > world.now:
        return False
    try:
        lease.check()
    except LeaseLost:
        return False
    return True
