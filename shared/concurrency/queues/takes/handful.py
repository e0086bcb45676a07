"""Handful: several entries for one caller."""

import asyncio
from typing import Final

from shared.concurrency.queues.takes.getters import Getter
from shared.concurrency.queues.takes.lane import TakeLane


class Handful:
    """The getters of one caller who takes several entries together."""

    def __init__(self, lane: TakeLane, most: int) -> None:
        """Prepare to wait for so many."""
        self._lane: Final = lane
        self._getters: Final = [Getter(may_wait=True) for _ in range(most)]

    async def take(self, within: float) -> list[bytes]:
        """Wait for the first entry, then `within` seconds for the others. Cancelled: what has arrived goes back.

        :raises QueueShutDown: when the queue is shut down and finished.
        """
        for getter in self._getters:
            self._lane.demand.getters.add(getter)
        self._lane.kick()
        futures = [getter.future for getter in self._getters]
        try:
            await asyncio.wait(futures[:1])  # they are served in order
            if futures[0].exception() is None:
                await asyncio.wait(futures, timeout=within)
        except asyncio.CancelledError:
            for entry in self._arrived():
                self._lane.give_back(entry)
            raise
        return self._arrived() or [futures[0].result()]

    def _arrived(self) -> list[bytes]:
        """Want no more; returns what there is."""
        for getter in self._getters:
            getter.future.cancel()
        ended = [getter.future for getter in self._getters if not getter.future.cancelled()]
        return [future.result() for future in ended if future.exception() is None]
