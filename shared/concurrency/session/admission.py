"""Admission: whether the server lets this process in, and for how long it is waited for when it does not any more."""

import math
from dataclasses import dataclass

from shared.concurrency.session.clock import boottime


@dataclass(slots=True)
class Admission:
    """What the server has said to one process that asks to be let in."""

    grace: float
    """A server that let us in before and does not now is waited for so many seconds until callers fail."""
    was_granted: bool = False
    """Whether it ever let us in."""
    refused_since: float = math.inf
    """When it refused first since it last let us in: the boot-time clock."""

    def grant(self) -> None:
        """It lets us in."""
        self.was_granted = True
        self.refused_since = math.inf

    def refuse(self) -> None:
        """It does not let us in."""
        self.refused_since = min(self.refused_since, boottime())

    def is_refused_for_good(self) -> bool:
        """Whether callers fail: it never let us in, or the grace is over."""
        return not self.was_granted or boottime() - self.refused_since >= self.grace
