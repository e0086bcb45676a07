"""The dead letters of a demo, counted by what they are."""

from dataclasses import dataclass
from typing import Any, Final

from shared.concurrency import Queue, Selection

_MOST_READ: Final = 10_000
_MOST_NAMED: Final = 10


@dataclass(frozen=True, kw_only=True)
class DeadGroup:
    """Dead letters of one class and one reason."""

    type: str
    reason: str
    error: str
    """That of the oldest."""
    count: int
    ids: tuple[str, ...]
    """Of the oldest ten."""

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.ids) else ""
        said = f": {self.error}" if self.error else ""
        return f"{self.count} dead {self.type}, {self.reason}{said} (id {', '.join(self.ids)}{more})"


async def group_dead(queue: Queue[Any]) -> list[DeadGroup]:
    """Read the dead letters of a queue, the oldest 10,000 at most; the largest group first."""
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    async for letter in queue.letters.find(Selection(), _MOST_READ):
        _, ids = found.setdefault((letter.type or "of no class", letter.reason), (letter.error, []))
        ids.append(letter.id or letter.key)
    groups = [
        DeadGroup(type=tp, reason=reason, error=error, count=len(ids), ids=tuple(ids[:_MOST_NAMED]))
        for (tp, reason), (error, ids) in found.items()
    ]
    return sorted(groups, key=lambda group: -group.count)
