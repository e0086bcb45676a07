"""The workload of permits: that of leases with one semaphore, whose limit anybody changes while it is in use.

Nobody is granted a permit beyond the limits that may have been in force, and the last `resize` is what is stored.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from shared.concurrency import ConcurrencyError, Semaphore, Session
from tests.simulation.changes import Change, Changes
from tests.simulation.leases import KEYS, Leases
from tests.simulation.remains import FOREVER, Rest
from tests.simulation.workload import Workload
from tests.simulation.world import Process, World

_LIMITS = (1, 2, 4)
_RUNS_WITHIN = 10.0
"""For how many seconds a cancelled call may be on its way."""
_GONE_WITHIN = 0.05
"""The same of a killed process."""


class Permits(Leases):
    """One semaphore."""

    name = "permits"
    kinds = ("semaphore",)

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._limits = Changes(world)
        for limit in _LIMITS:  # whoever comes first, with the limit of its constructor
            self._limits.end(self._limits.begin(str(limit)))
        self._resizing: dict[int, tuple[Process, Change]] = {}
        self._asked: dict[int, float] = {}
        """When those asked who wait or are inside."""
        self._resizes = 0
        # Older data would have an older limit, and the clock is set back.
        self.withstands = Workload.withstands
        self.more_faults = [self._server.restart, self._blocks.strike, self._set_clock_back]

    def _asking(self, session: Session) -> Callable[[str], AbstractAsyncContextManager[Any]]:
        semaphore = Semaphore(session, "c", self.world.rng.choice(_LIMITS))
        return lambda _: semaphore

    async def _hold(self, number: int, process: Process, mode: str, claim: AbstractAsyncContextManager[Any]) -> None:
        if isinstance(claim, Semaphore) and self.world.rng.random() < 0.3:
            await self._resize(number, process, claim)
        self._asked[number] = self.world.now
        try:
            await super()._hold(number, process, mode, claim)
        finally:
            del self._asked[number]

    async def _resize(self, number: int, process: Process, semaphore: Semaphore) -> None:
        limit = self.world.rng.choice(_LIMITS)
        change = self._limits.begin(str(limit))
        self._resizing[number] = process, change
        self._resizes += 1
        try:
            await semaphore.resize(limit)
        except (asyncio.CancelledError, ConcurrencyError):
            self._limits.may_have_failed(change, _RUNS_WITHIN)
            raise
        else:
            self._limits.end(change)
        finally:
            del self._resizing[number]

    def most_permits(self) -> int:
        """The largest limit since the last of them asked: when that was granted, all the others had theirs."""
        asked = max(self._asked[number] for number in self.believers())
        return max(int(change.what) for change in self._limits.since(asked))

    def replace(self, killed: Process) -> None:
        """Another one, which begins anew; what the killed one had asked for may still come to pass."""
        for number, (process, change) in list(self._resizing.items()):
            if process is killed:
                self._limits.may_have_failed(change, _GONE_WITHIN)
                del self._resizing[number]
        super().replace(killed)

    def rests(self) -> dict[bytes, Rest]:
        """As of leases; but a limit that somebody has set stays for good."""
        is_set = self.world.control.call("HEXISTS", KEYS["record"], "resized")
        return super().rests() | ({KEYS["record"]: FOREVER} if is_set else {})

    def look_at_the_end(self) -> None:
        """What is stored is what somebody made it, and nobody later; nothing is left."""
        super().look_at_the_end()
        stored = self.world.control.call("HGET", KEYS["record"], "kind")
        possible = sorted({f"limit {change.what}" for change in self._limits.since(self.world.now)})
        if stored.decode() not in possible:
            self.failures.append(f"stored {stored.decode()}, and not {' or '.join(possible)}")

    def details(self) -> str:
        """As of leases, and how often it was resized."""
        return f"{super().details()} resizes {self._resizes}"
