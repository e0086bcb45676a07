"""Scene: what a fault can reach, and how often it struck."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from shared.local.embedded import EmbeddedServer
from tests.instruments.processes import Process
from tests.instruments.proxy import Proxy


class Targets(Protocol):
    """The processes of a campaign."""

    def everybody(self) -> list[tuple[dict[int, Process], int]]:
        """Each process that may be struck, as its table and its number."""

    async def replace(self, table: dict[int, Process], number: int) -> None:
        """Kill one with -9, and start it again."""


@dataclass
class Scene:
    """The processes, the server and the way between them."""

    fleet: Targets
    server: EmbeddedServer
    proxy: Proxy
    chance: random.Random
    pace: float
    """Seconds between two strikes, on average."""
    struck: Counter[str] = field(default_factory=Counter)
    healed: list[int] = field(default_factory=list)
    """When each strike was over, in nanoseconds."""
    forgot: list[int] = field(default_factory=list)
    """When the server was struck so that it comes back with older data, in nanoseconds."""

    def pause(self) -> float:
        """Seconds until the next strike."""
        return self.pace * self.chance.uniform(0.5, 1.5)

    def note(self, word: str) -> None:
        """A strike is over, and healed."""
        self.struck[word] += 1
        self.healed.append(time.monotonic_ns())
