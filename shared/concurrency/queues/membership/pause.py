"""Pause: for how long a lane sends nothing, because it would be refused as before."""

import asyncio
from typing import Final

_FIRST: Final = 0.05
_LONGEST: Final = 1.0


class Pause:
    """The pause of one lane, which its `due` respects; while the server's memory is full each is twice the last one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin without one."""
        self._loop: Final = loop
        self.until = 0.0
        """When it ends, by the loop's clock; 0 while there is none, or none any more that somebody has asked for."""
        self._last = 0.0
        """The last pause for a full memory; 0 while the memory is not known to be full."""

    @property
    def is_for_memory(self) -> bool:
        """Whether the server refused the last call because its memory is full."""
        return self._last > 0

    def memory_is_full(self) -> float:
        """How many seconds to wait before the same is tried again: 0.05, doubled each time, 1 at most."""
        self._last = min(_LONGEST, self._last * 2 or _FIRST)
        return self._last

    def memory_has_room(self) -> None:
        """The server took a call: the next pause is a short one again."""
        self._last = 0.0

    def begin(self, seconds: float) -> None:
        """Send nothing for so many seconds."""
        self.until = self._loop.time() + seconds

    def left(self) -> float:
        """For how many seconds more it lasts, 0 when there is none."""
        if self.until and (left := self.until - self._loop.time()) > 0:
            return left
        self.until = 0.0
        return 0.0
