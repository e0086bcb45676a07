"""Ticker: lets the parts of a process compare deadlines with the clock, and shows that the event loop runs."""

import asyncio
from typing import Final

from shared.concurrency.session.clock import boottime, margin
from shared.concurrency.session.log import Log
from shared.concurrency.session.parts import Parts

log = Log("session")


class Ticker:
    """A task of the event loop; it ticks several times in a time to live."""

    def __init__(self, parts: Parts, ttl: float) -> None:
        """Prepare; `ttl`: the session's, in seconds."""
        self._parts: Final = parts
        self._pause: Final = min(0.25, margin(ttl) / 2)
        self._seen = boottime()
        self._task: asyncio.Task[None] | None = None

    def seen(self) -> float:
        """When the event loop ran last, by the local clock; any thread."""
        return self._seen

    def start(self) -> None:
        """Begin to tick."""
        self._task = asyncio.create_task(self._run(), name="weir-ticker")

    async def stop(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            self._seen = boottime()
            defects: list[Exception] = []
            for part in self._parts.lasting():
                try:
                    part.tick()
                except Exception as error:  # noqa: BLE001  # the others, and the next tick, must not pay for it
                    defects.append(error)
            for defect in defects:
                log.defect(defect, "a tick failed", problem=repr(defect))
            await asyncio.sleep(self._pause)
