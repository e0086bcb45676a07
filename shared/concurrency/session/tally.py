"""Tally: what one process has counted since its session was opened: once a call, not once a message."""

from collections import defaultdict
from typing import Final

from shared.concurrency.session.histogram import Histogram

_MOST: Final = 10_000
"""Different counts, about."""


class Tally:
    """Written by the event loop, read in any thread. What nobody asked to be measured costs nothing."""

    __slots__ = ("counts", "lease_waits", "put_waits")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.counts: Final[defaultdict[tuple[str, str], int]] = defaultdict(int)
        """What, and the queue (of dead letters with a space and the reason, of leases the mode) -> how often."""
        self.put_waits: defaultdict[str, Histogram] | None = None
        """Queue -> how long its puts took until they were in; None while nobody wants to know."""
        self.lease_waits: defaultdict[str, Histogram] | None = None
        """Mode of a lease -> how long requests took until they were granted, as `put_waits`."""

    def add(self, what: str, name: str = "", count: int = 1) -> None:
        """Count so many more."""
        self.counts[what, name] += count

    def add_dead(self, queue: str, reason: str) -> None:
        """Count a dead letter. A reason may hold the text of a message: beyond so many, new ones count together."""
        about = f"{queue} {reason}"
        if ("dead_letters", about) not in self.counts and len(self.counts) >= _MOST:
            about = f"{queue} others"
        self.add("dead_letters", about)

    def measure(self) -> None:
        """Measure waits from here on."""
        self.put_waits = defaultdict(Histogram)
        self.lease_waits = defaultdict(Histogram)
