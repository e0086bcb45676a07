"""Event loops that the world turns, one callback round at a time, in virtual time."""

import asyncio
import heapq
import math
from collections.abc import Callable
from typing import Any


class _NoSelector:
    """Nothing is ever ready by itself: all that happens comes from the world."""

    def __init__(self) -> None:
        self._map: dict[Any, Any] = {}

    def register(self, *_: Any) -> None:
        """Watch nothing."""

    def unregister(self, *_: Any) -> None:
        """Watch nothing."""

    def modify(self, *_: Any) -> None:
        """Watch nothing."""

    def select(self, timeout: float | None = None) -> list[Any]:  # noqa: ARG002  # the selector's own signature
        """Never wait."""
        return []

    def close(self) -> None:
        """There is nothing to close."""

    def get_map(self) -> dict[Any, Any]:
        """Nothing is watched."""
        return self._map


class Loop(asyncio.SelectorEventLoop):
    """A loop without sockets. It stands on asyncio's own loop, so that the order of callbacks is asyncio's."""

    _ready: Any
    _scheduled: list[Any]
    _timer_cancelled_count: int

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` is the world's clock, in seconds."""
        self._now = now
        super().__init__(_NoSelector())  # type: ignore[arg-type]
        self._clock_resolution = 1e-9
        # What a killed process leaves is nobody's fault.
        self.set_exception_handler(lambda *_: None)

    def time(self) -> float:
        """Virtual seconds."""
        return self._now()

    def due(self) -> float:
        """When its first timer is due; `inf` when it waits for others. What is ready is due at once."""
        while self._scheduled and self._scheduled[0]._cancelled:  # asyncio's handles have no other door
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            self._timer_cancelled_count = max(0, self._timer_cancelled_count - 1)
        return float(self._scheduled[0]._when) if self._scheduled else math.inf

    def turn(self) -> None:
        """Run what is ready, once."""
        asyncio._set_running_loop(self)
        try:
            self._run_once()  # type: ignore[attr-defined]
        finally:
            asyncio._set_running_loop(None)

    def _make_self_pipe(self) -> None:
        """Nobody wakes it from another thread: the world turns it."""
        self._internal_fds = 0

    def _close_self_pipe(self) -> None:
        """There is none."""

    def _write_to_self(self) -> None:
        """A callback from another "thread" is found at the next turn."""
