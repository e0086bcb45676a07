"""What processes that ran seeds said, added up."""

import re
from dataclasses import dataclass, field
from typing import Final, Self

_LINE: Final = re.compile(
    r"^(\w+) (\d+): (.*) -- .* virtual ([\d.]+) s calls \d+ steps (\d+) .*trace \w+$", re.MULTILINE
)


@dataclass
class Tally:
    """So many seeds, and what they took."""

    seeds: int = 0
    steps: int = 0
    seconds: float = 0.0
    """Of virtual time."""
    failed: list[str] = field(default_factory=list)
    """Workload and seed of each that failed."""

    @classmethod
    def of(cls, said: str) -> Self:
        """What a process said; of the shrunk runs nothing."""
        runs = _LINE.findall(said)
        failed = [f"{name} {seed}" for name, seed, how, *_ in runs if how != "ok"]
        seconds = sum(float(virtual) for *_, virtual, _ in runs)
        return cls(len(runs), sum(int(steps) for *_, steps in runs), seconds, failed)

    def add(self, other: "Tally") -> None:
        """And these."""
        self.seeds += other.seeds
        self.steps += other.steps
        self.seconds += other.seconds
        self.failed += other.failed

    def __str__(self) -> str:
        """In words."""
        how = f"{len(self.failed)} failed: {', '.join(self.failed)}" if self.failed else "all passed"
        return f"{self.seeds} seeds, {self.steps:,} steps, {self.seconds / 3600:.1f} virtual hours: {how}"
