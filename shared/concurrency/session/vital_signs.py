"""Vital signs: what shows from outside whether a process works."""

from typing import NamedTuple


class VitalSigns(NamedTuple):
    """Of one moment; read in any thread."""

    loop_idle: float
    """For how many seconds the event loop has not turned."""
    heartbeat_idle: float
    """For how many seconds the heartbeat's thread has not."""
    unconnected: str
    """Why there is no connection to the server; empty when there is one."""
