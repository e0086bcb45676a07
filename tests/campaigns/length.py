"""Length: when a campaign may end."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Length:
    """All of these are reached at its end."""

    seconds: float = 0.0
    messages: int = 0
    strikes: int = 0
