"""Run: which run of the server a connection leads to. A server that was started again may have older data."""

from secrets import token_hex
from typing import Final

UNKNOWN: Final = "?"
"""How a run begins that the server does not tell. The scripts take no notice of such a one."""
_MOST_TOLD: Final = 10_000


class Run:
    """The run at the other end of one process's connection, as its parts compare it and as its scripts are told.

    A server that does not tell it (INFO is forbidden) may have been started again before any connection. To this
    process each connection is another run then, and a lease is told so once on each: it rests as after a restart, so
    that a grant that the server has forgotten runs out first.
    """

    def __init__(self) -> None:
        """Begin without a connection."""
        self.id = ""
        """The run_id of the server; `?` and a number where it is not told."""
        self.round_trip = 0.0
        """How many seconds away its server was when the connection was made; 0 before that."""
        self.is_known = False
        """Whether the present connection was asked: `id` may be that of the one before."""
        self._connections = 0
        self._doubt = ""
        """What leases are told in place of `id`; empty for nothing else."""
        self._told: set[bytes] = set()
        """A key of each lease that was told."""

    def leads_to(self, run_id: str) -> None:
        """Note a new connection; `run_id` is empty where the server does not tell it."""
        self._connections += 1
        self.is_known = True
        self.id = run_id or f"{UNKNOWN}{self._connections}"
        self._doubt = "" if run_id else f"unknown.{token_hex(8)}"
        self._told.clear()

    def as_told(self, key: bytes) -> str:
        """The run as a lease's script is to get it; `key`: one of the lease's own."""
        return self._doubt if self._doubt and key not in self._told else self.id

    def told(self, key: bytes) -> None:
        """The lease has answered."""
        if self._doubt:
            if len(self._told) >= _MOST_TOLD:
                self._told.clear()
            self._told.add(key)
