"""The workload of downgrades: that of leases, where whoever writes reads on, and some are cancelled meanwhile.

From the call on its lease says that it reads, however the call ends, under the token that it had. Nobody writes beside
it.
"""

import asyncio
from typing import Any

from tests.simulation.leases import Leases
from tests.simulation.world import Process, World


class Downgrades(Leases):
    """One readers-writers lease."""

    name = "downgrades"
    kinds = ("rw",)
    writers = 0.6

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._downgrades = 0

    async def _stay(self, number: int, process: Process, mode: str, lease: Any) -> None:
        if mode != "w":
            await super()._stay(number, process, mode, lease)
            return
        rng = self.world.rng
        self._enter(number, process, mode, lease)
        try:
            await asyncio.sleep(rng.expovariate(1 / rng.choice([0.001, 0.01])))
            token = lease.token
            await self._first_steps.run(self._downgrade(number, process, lease))
            _, mode, _ = self._inside[number]  # still w where it was cancelled before its first step
            if (lease.mode, lease.token) != ({"r": "read", "w": "write"}[mode], token):
                self.failures.append(f"a {lease.mode} lease, token {lease.token}, behind the downgrade of {token}")
            await asyncio.sleep(rng.expovariate(1 / rng.choice([0.01, 0.3])))
        finally:
            self._inside.pop(number, None)

    async def _downgrade(self, number: int, process: Process, lease: Any) -> None:
        self._inside[number] = (process, "r", lease)
        await lease.downgrade()
        self._downgrades += 1

    def details(self) -> str:
        """As of leases, and how many went on as readers."""
        return f"{super().details()} downgrades {self._downgrades}"
