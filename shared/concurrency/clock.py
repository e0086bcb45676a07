"""The local clock that deadlines are compared with: it goes on while the machine sleeps, and never jumps."""

import time

if hasattr(time, "CLOCK_BOOTTIME"):

    def boottime() -> float:
        """Seconds since the machine started, its sleep included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:  # macOS: monotonic goes on in sleep there

    def boottime() -> float:
        """Seconds since the machine started, its sleep included."""
        return time.monotonic()


def margin(ttl: float) -> float:
    """How long before the server's deadline we count a lease as lost, in seconds: clocks drift and timers are late."""
    return max(0.05, 0.05 * ttl)
