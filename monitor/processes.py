"""Processes: what those are called that were seen within the last minute, also after they ended."""

from monitor.history import LENGTH
from monitor.snapshot import Snapshot


class Processes:
    """The names of processes, HOST:PID, by their owner's letters."""

    def __init__(self) -> None:
        """Begin with none."""
        self._seen: dict[str, tuple[str, float]] = {}

    def learn(self, snapshot: Snapshot) -> None:
        """Take the names of all that are in it; those that were not seen for a minute go."""
        sessions = ((each.owner, each.host, each.pid) for queue in snapshot.queues for each in queue.sessions)
        holders = ((each.owner, each.host, each.pid) for lease in snapshot.leases for each in lease.holders)
        for found in (sessions, holders):
            for owner, host, pid in found:
                if host and pid:
                    self._seen[owner] = f"{host}:{pid}", snapshot.at
        for owner in [owner for owner, (_, at) in self._seen.items() if snapshot.at - at > LENGTH]:
            del self._seen[owner]

    def called(self, owner: str) -> str:
        """What a process is called; its letters where it never said."""
        return self._seen.get(owner, (owner, 0.0))[0]
