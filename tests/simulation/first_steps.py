"""First steps: callers that are cancelled before their call has gone far."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.simulation.world import World

T = TypeVar("T")
_MOST_TURNS = 5


class FirstSteps:
    """Runs calls, some of which are cancelled within the first turns of the loop."""

    def __init__(self, world: World, share: float) -> None:
        """`share`: of the calls is cancelled."""
        self._rng = world.rng
        self._share = share
        self.cancelled = 0

    async def run(self, call: Coroutine[Any, Any, T]) -> T | None:
        """What the call returns; None when it was cancelled."""
        if self._rng.random() >= self._share:
            return await call
        task = asyncio.create_task(call)
        for _ in range(self._rng.randrange(_MOST_TURNS)):
            await asyncio.sleep(0)
        if task.cancel():
            self.cancelled += 1
        await asyncio.wait({task})
        return None if task.cancelled() else task.result()
