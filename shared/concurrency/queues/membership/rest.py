"""Rest: a lane waits until something is to be done, or until a time at which it looks."""

import asyncio
from collections.abc import Callable
from typing import Final


class Rest:
    """The rest of one lane, and the timer that ends it.

    The timer outlives the rest: to set and cancel one for each message costs more than to look once too often when it
    comes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, look: Callable[[], object]) -> None:
        """Prepare; `look` is called when the time has come, and ends the rest if a call is due."""
        self._loop: Final = loop
        self._look: Final = look
        self.ended: asyncio.Future[None] | None = None
        """What the lane waits for while it rests; who sets its result ends the rest."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_timer(self) -> bool:
        """Whether the lane looks by itself, sooner or later."""
        return self._timer is not None

    async def take(self, seconds: float | None) -> None:
        """Rest until it is ended; look in so many seconds, or never for None."""
        self.ended = self._loop.create_future()
        if seconds is not None:
            self.look_in(seconds)
        try:
            await self.ended
        finally:
            self.ended = None

    def stop(self) -> None:
        """Look no more by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look_in(self, seconds: float | None) -> None:
        """Look in so many seconds. A timer that is set for an earlier time stays: that look sets the next one."""
        if seconds is None:
            return
        at = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._time_has_come)

    def _time_has_come(self) -> None:
        self._timer = None
        self._look()
