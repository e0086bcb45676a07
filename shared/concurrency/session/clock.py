"""The local clock that deadlines are compared with: it goes on while the machine sleeps, and never jumps."""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

# No function of our own around it: every local reader of a lease asks twice. On macOS monotonic goes on in sleep.
boottime: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds since the machine started, its sleep included."""


def margin(ttl: float) -> float:
    """How long before the server's deadline we count a lease as lost, in seconds: clocks drift and timers are late."""
    return max(0.05, 0.05 * ttl)
