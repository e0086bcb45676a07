"""Puts and their entries, as the model sees them."""

from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["in", "waits", "full", "shut", "conflict", "known"]


@dataclass(eq=False)
class Entry:
    """One message: where it is is told by the list that it is in."""

    item: int
    id: str | None = None
    stamp: int = 0
    hand_outs: int = 0
    crashes: int = 0
    failures: int = 0
    was_delayed: bool = False


@dataclass(eq=False)
class Put:
    """One call that puts: finished when all its entries are decided."""

    process: str
    entries: list[Entry]
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def waiting(self) -> bool:
        """Whether some of its entries are in line."""
        return len(self.verdicts) < len(self.entries)
