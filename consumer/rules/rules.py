"""Rules: how the messages of one class are attempted."""

import math
from dataclasses import dataclass

from consumer.batches import Gather
from consumer.rules.backoff import USUAL_BACKOFF, Backoff
from consumer.rules.errors import HandlerError

_MOST_ATTEMPTS = 999
LONGEST_LIMIT = 86400.0
"""The longest time limit that a handler may have, in seconds."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How many attempts the messages of one class have, the delay between them, and the time limit of each."""

    attempts: int | None = None
    """Failures until a message is a dead letter; None for the number stored with the queue."""
    backoff: Backoff = USUAL_BACKOFF
    """How long a message waits between attempts."""
    time_limit: float | None = None
    """Seconds that one attempt may take; None for the service's PIPELINE_HANDLER_TIMEOUT."""
    batch: Gather | None = None
    """How many messages the handler gets together; None for one delivery at a time."""

    def __post_init__(self) -> None:
        """Check the values.

        :raises HandlerError: when one is out of range.
        """
        attempts, time_limit = self.attempts, self.time_limit
        if attempts is not None and (
            isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= _MOST_ATTEMPTS
        ):
            raise HandlerError(
                f"attempts={attempts!r}: write a whole number from 1 to {_MOST_ATTEMPTS}, or leave it out"
            )
        if not isinstance(self.backoff, Backoff):
            raise HandlerError(f"backoff={self.backoff!r}: write Backoff(first=..., longest=..., factor=...)")
        if self.batch is not None and not isinstance(self.batch, Gather):
            raise HandlerError(f"batch={self.batch!r}: write Gather(most=..., within=...), or leave it out")
        if time_limit is not None and (
            isinstance(time_limit, bool)
            or not isinstance(time_limit, (int, float))
            or not math.isfinite(time_limit)
            or not 0 < time_limit <= LONGEST_LIMIT
        ):
            raise HandlerError(
                f"time_limit={time_limit!r}: write seconds, more than 0 and at most {LONGEST_LIMIT:.0f}, or leave it out"
            )
