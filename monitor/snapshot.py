"""Snapshot: everything that is known of the cluster at one moment, as one typed object."""

from pydantic import BaseModel, ConfigDict

from shared.concurrency.locks.leases.snapshot import LeaseSnapshot
from shared.concurrency.queues.snapshot import QueueSnapshot


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ServerState(_Part):
    """The server itself; of a Cluster all masters, what is counted added, and the rest that of the first one."""

    product: str
    """`valkey` or `redis`."""
    version: str
    role: str
    """`master` or `slave`, as it calls itself."""
    run_id: str
    """Another one than before says that it was started again."""
    uptime_seconds: int
    memory_bytes: int
    max_memory_bytes: int
    """0 for no limit."""
    clients: int
    """Connections that are open."""
    replicas: int
    round_trip_seconds: float
    """How long it took to answer for its state, the way there and back included."""


class ClockState(_Part):
    """What waits for its time at the clock of a queue; a clock at a server of its own is not seen."""

    queue: str
    deferred: int
    """Messages that were scheduled, and cron jobs."""
    overdue: int
    """Those whose time has come more than a second ago: no clock runs, or it waits for room."""


class Problem(_Part):
    """Something of which the server did not tell."""

    name: str
    """The queue or the lease."""
    text: str


class Snapshot(_Part):
    """The cluster at one moment. Each queue and each lease is read in one step, one after the other."""

    at: float
    """The server's clock, in seconds since the epoch."""
    names_age_seconds: float
    """How long ago the names of queues and leases were looked for; what came since is not shown."""
    server: ServerState
    queues: tuple[QueueSnapshot, ...]
    """By name."""
    leases: tuple[LeaseSnapshot, ...]
    """By name: those that were used within the last hour at least."""
    leases_left_out: int
    """How many there are beyond the first 500."""
    clocks: tuple[ClockState, ...]
    """Of those queues for which something waits for its time."""
    problems: tuple[Problem, ...]
    """What could not be read: a key holds what is not ours, or the server refuses."""

    def queue(self, name: str) -> QueueSnapshot | None:
        """The queue of that name."""
        return next((each for each in self.queues if each.name == name), None)

    def lease(self, name: str) -> LeaseSnapshot | None:
        """The lease of that name."""
        return next((each for each in self.leases if each.name == name), None)
