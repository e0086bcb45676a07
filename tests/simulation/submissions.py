"""Submissions: futures, each of which ends with its number, or because its message failed for good, or was lost."""

import asyncio
from typing import Any

from shared.concurrency import RemoteError, ResultLost


class Submissions:
    """All futures that somebody waits for."""

    def __init__(self, failures: list[str]) -> None:
        """Note in `failures` what must not be."""
        self._failures = failures
        self._waiting = self._results = self._refusals = self._lost = 0
        self.losses = 0
        """How often the server has lost data."""

    def expect(self, number: int, future: asyncio.Future[Any], losses: int) -> None:
        """Wait for the end of a future, whose result is this number; `losses` there were when it was asked for."""
        self._waiting += 1
        future.add_done_callback(lambda ended: self._look(number, ended, losses))

    async def over(self) -> None:
        """Wait until all have ended; an event would belong to one loop, and there are many."""
        while self._waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.3)

    def _look(self, number: int, future: asyncio.Future[Any], losses: int) -> None:
        self._waiting -= 1
        error = future.exception()
        if isinstance(error, RemoteError):
            self._refusals += 1
        elif isinstance(error, ResultLost) and losses < self.losses:
            self._lost += 1
        elif error is not None or future.result() != number:
            self._failures.append(f"the result of {number}: {error or future.result()!r}")
        else:
            self._results += 1

    def __str__(self) -> str:
        return f"results {self._results} refusals {self._refusals} lost {self._lost}"
