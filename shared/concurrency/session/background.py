"""Background: what a session still does for those who did not wait for it; its end waits for that."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from shared.concurrency.session.futures import retrieve
from shared.concurrency.session.underway import Underway

T = TypeVar("T")


class Background:
    """Tasks that belong to the session and to nothing smaller: what began them may be gone before they end."""

    def __init__(self) -> None:
        """Begin with none."""
        self.underway: Final = Underway()
        """What is not done in the background, but may leave something to do there."""
        self._tasks: Final[set[asyncio.Task[Any]]] = set()

    def start(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Have this done."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(retrieve)
        return task

    async def close(self, patience: float) -> None:
        """Wait until all is done; twice `patience` seconds at most."""
        await self.underway.over(patience)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=patience)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
