"""Threads: where plain functions run, so that they do not block the event loop."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Final

from consumer.rules.errors import StillRunning

_Job = tuple[Callable[[], object], "asyncio.Future[BaseException | None]"]


class Threads:
    """Runs functions in threads, and keeps the threads for later calls. Used from one event loop.

    The threads are daemons, unlike those of concurrent.futures: one that never ends does not keep the process from
    ending. There are at most as many as functions ran at once.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._loop: Final = asyncio.get_running_loop()
        self._all: list[_Thread] = []
        self._idle: list[_Thread] = []

    async def run(self, function: Callable[[], object]) -> None:
        """Run a function in a thread, with the context variables of the caller; raises what the function raises.

        :raises StillRunning: (a CancelledError) when the caller is cancelled first; the thread goes on.
        """
        thread = self._idle.pop() if self._idle else self._start()
        ended: asyncio.Future[BaseException | None] = self._loop.create_future()
        thread.jobs.put((partial(contextvars.copy_context().run, function), ended))
        try:
            error = await asyncio.shield(ended)
        except asyncio.CancelledError:
            if ended.done():
                raise
            raise StillRunning(ended) from None
        if error is not None:
            raise error

    def close(self) -> None:
        """End the idle threads; a busy one ends with its function, or with the process."""
        for thread in self._all:
            thread.jobs.put(None)
        for thread in self._idle:
            thread.join()

    def _start(self) -> "_Thread":
        thread = _Thread(self._loop, self._free)
        self._all.append(thread)
        thread.start()
        return thread

    def _free(
        self, thread: "_Thread", ended: "asyncio.Future[BaseException | None]", error: BaseException | None
    ) -> None:
        self._idle.append(thread)
        if not ended.done():
            ended.set_result(error)


class _Thread(threading.Thread):
    def __init__(self, loop: asyncio.AbstractEventLoop, free: Callable[..., None]) -> None:
        super().__init__(name="weir-handler", daemon=True)
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._loop = loop
        self._free = free

    def run(self) -> None:
        while (job := self.jobs.get()) is not None:
            function, ended = job
            error = None
            try:
                function()
            except BaseException as raised:  # noqa: BLE001  # SystemExit too: the caller receives it, the thread lives
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._free, self, ended, error)
            # Or they would be kept until the next job comes.
            del job, function, ended, error
