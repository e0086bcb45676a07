"""Underway: the waits of one session. Its end waits for them, because they withdraw what they asked for."""

import asyncio
import contextlib


class Underway:
    """Counts what goes on: `with underway:`."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._count = 0
        self._none: asyncio.Event | None = None

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count and self._none is not None:
            self._none.set()

    async def over(self, patience: float) -> None:
        """Wait until nothing goes on; gives up after `patience` seconds."""
        if not self._count:
            return
        self._none = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._none.wait()
