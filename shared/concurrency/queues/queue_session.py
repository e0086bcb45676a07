"""One process's session at a queue, as others see it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSession:
    """A session at one moment."""

    owner: str
    """Which process: its `Session.owner`."""
    held: int
    """Deliveries in its hands."""
    seconds_left: float
    """Until it is over if it is not renewed; 0.0 when it is over, and what it holds not recovered yet."""
    is_consumer: bool
    """Whether it is a consumer service, which `drain` reaches."""
    is_draining: bool
    """Whether it was told to drain."""
