"""Vitals: whether a service's process works, by what it knows itself. The server is never asked."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from shared.concurrency import Queue, Session
from shared.concurrency.queues.service import renewed_for
from shared.concurrency.session.session import process_of

_SHORTEST_HANG: Final = 10.0


class Vitals:
    """What is wrong with a service's process; any thread may ask. An empty answer says that nothing is."""

    def __init__(
        self, session: Session, queues: Sequence[Queue[Any]], stopping: asyncio.Event, *, registers: bool
    ) -> None:
        """`registers`: whether it registers at the queues by itself, as a consumer does; others do at their first put.

        `stopping`: set once it takes nothing more.
        """
        self._process: Final = process_of(session)
        self._queues: Final = queues
        self._stopping: Final = stopping
        self._registers: Final = registers

    def dead(self) -> str:
        """Why the process should be ended: for a liveness probe. An outage of the server is no reason."""
        signs = self._process.vital_signs()
        # From then on the heartbeat renews nothing any more: others have taken over what the process holds.
        longest = max(3 * self._process.ttl, _SHORTEST_HANG)
        if signs.loop_idle > longest:
            return f"its event loop has not turned for {signs.loop_idle:.1f} s"
        if signs.heartbeat_idle > longest:
            return f"it has renewed nothing for {signs.heartbeat_idle:.1f} s: its heartbeat stands still"
        return ""

    def unwell(self) -> str:
        """Why it does not work as it should: for `--check`, which has seen that the loop turns."""
        return next(filter(None, map(self._unwell_at, self._queues)), "")

    def _unwell_at(self, queue: Queue[Any]) -> str:
        unconnected = self._process.vital_signs().unconnected
        left = renewed_for(queue)
        if left is None:
            if unconnected:
                return f"it is not registered, and has no connection to the server: {unconnected}"
            return "it is not registered at the queue yet" if self._registers else ""
        if left <= 0:
            return f"its session was not renewed within its time to live{f': {unconnected}' if unconnected else ''}"
        return ""

    def unready(self) -> str:
        """Why nothing should be expected of it now: for a readiness probe."""
        if problem := self.dead() or self.unwell():
            return problem
        if self._stopping.is_set():
            return "it is stopping"
        unconnected = self._process.vital_signs().unconnected
        return f"it has no connection to the server: {unconnected}" if unconnected else ""
