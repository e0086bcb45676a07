"""The workload of limits: as that of queues, and messages have a limit, a share that is limited, or neither.

After each command the server's own account is compared with what it holds: never more in hands than a limit, and no
rate exceeded by more than one burst, by the server's clock; one limit has both. Meanwhile the numbers of one limit
change.
"""

import asyncio
from collections import defaultdict
from typing import Any

from shared.concurrency import Queue, Rate
from tests.simulation.hands import in_hands
from tests.simulation.queues import Queues
from tests.simulation.workload import Workload
from tests.simulation.world import Process, World

_AT_ONCE = 2
_OF_SHARE = 1
_RATES = {"often": Rate(200, burst=3), "both": Rate(100, burst=2)}
_LIMITS = ("few", "often", "both", None)
_SHARES = (None, None, None, "a", "b")
_EMPTY_AT_REST = (
    "gated",
    "running",
    "opens",
    "tails",
    "behind",
    "passed",
    "released",
    "line_own",
    "tags",
    "ready",
    "line_fair",
)


class Limits(Queues):
    """Producers and consumers of one bounded queue, as in Queues."""

    name = "limits"
    withstands = Workload.withstands

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        self._held: set[bytes] = set()
        self._delivered: dict[str, list[float]] = {limit: [] for limit in _RATES}
        """When each of the limits that have a rate was delivered, by the server's clock."""
        self._has_numbers = False
        super().__init__(world, ttl)
        world.checks.append(self._look_at_the_limits)

    def _asks(self, number: int) -> dict[str, Any]:
        rng = self.world.rng
        return {"limit": rng.choice(_LIMITS), "share": rng.choice(_SHARES), "key": rng.choice((None, f"k{number % 3}"))}

    async def _produce(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = Queue(session, "q", int)
            await queue.limit("few", at_once=_AT_ONCE)
            await queue.limit("often", rate=_RATES["often"])
            await queue.limit("both", at_once=_AT_ONCE, rate=_RATES["both"])
            await queue.limit_shares(at_once=_OF_SHARE)
            self._has_numbers = True
            await super()._produce(process)
            # A larger number lets go what waits; what was let go before a smaller one goes back to its gate.
            for at_once in (5, 1, _AT_ONCE):
                await queue.limit("free", at_once=at_once)
                await asyncio.sleep(0.01)

    def _look_at_the_limits(self) -> None:
        held = in_hands(self.world.control)
        counts: defaultdict[str, int] = defaultdict(int)
        for receipt, (share, limit) in held.items():
            counts[f"s{share}"] += 1
            counts[f"l{limit}"] += 1
            if limit in _RATES and receipt not in self._held:
                self._look_at_the_rate(limit)
        self._held = set(held)
        over = [
            f"{what}: {count}"
            for what, most in (("lfew", _AT_ONCE), ("lboth", _AT_ONCE), ("sa", _OF_SHARE), ("sb", _OF_SHARE))
            if (count := counts[what]) > most
        ]
        if over:
            self.failures.append(f"in hands at {self.world.now:.3f}: {over}")

    def _look_at_the_rate(self, limit: str) -> None:
        now, rate, delivered = self.world.server_now, _RATES[limit], self._delivered[limit]
        delivered.append(now)
        for count, since in enumerate(reversed(delivered), 1):
            # The server has read its clock a moment before.
            if count - rate.burst > (now - since + 1e-4) * rate.count / rate.per + 1e-6:
                self.failures.append(f"{count} of {limit} were delivered within {now - since:.4f} s")
                return

    def look_at_rest(self) -> None:
        """As of Queues, and nothing is left in the keys of limits, but their numbers."""
        super().look_at_rest()
        there = [word for word in _EMPTY_AT_REST if self.world.control.call("EXISTS", self._keys[word])]
        if there:
            self.failures.append(f"at rest there is something in {there}")
