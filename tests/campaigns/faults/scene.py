"""Scene: what a fault can reach, and how often it struck."""

import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from shared.local.embedded import EmbeddedServer
from tests.campaigns.checkers.strikes import Strike
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
    strikes: list[Strike] = field(default_factory=list)
    """Whom each hit and when, those among them that the end of the campaign has cut short."""

    def pause(self) -> float:
        """Seconds until the next strike."""
        return self.pace * self.chance.uniform(0.5, 1.5)

    @contextlib.contextmanager
    def strike(self, word: str, pid: int | None = None) -> Iterator["Damage"]:
        """Strike a process, or everybody, in the block; behind it all is healed."""
        with self.lasting(word, pid) as damage:
            yield damage
        self.struck[word] += 1
        self.healed.append(self.strikes[-1].ended)

    @contextlib.contextmanager
    def lasting(self, word: str, pid: int | None = None) -> Iterator["Damage"]:
        """Have what a strike has done excuse in the block, too: it is no strike more, and nothing is healed then."""
        damage, began = Damage(), time.monotonic_ns()
        try:
            yield damage
        finally:
            self.strikes.append(Strike(word, began, time.monotonic_ns(), pid, damage.kept))


@dataclass
class Damage:
    """What a strike turns out to have done."""

    kept: int | None = None
    """The server may have forgotten what it answered from this moment on, in nanoseconds."""
