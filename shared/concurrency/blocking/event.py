"""BlockingEvent: an Event for synchronous code."""

from typing import Final

from shared.concurrency import Event
from shared.concurrency.blocking.background import Background


class BlockingEvent:
    """A flag shared by all processes that use its name: threading.Event, as Event is asyncio's."""

    def __init__(self, background: Background, event: Event) -> None:
        """Made by the blocking session."""
        self._background: Final = background
        self._event: Final = event

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._background.call(self._event.is_set)

    def set(self) -> None:
        """Set it, and wake all who wait, in all processes."""
        self._background.call(self._event.set)

    def clear(self) -> None:
        """Clear it."""
        self._background.call(self._event.clear)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; False, as threading.Event has it, when it was not within so many seconds."""
        try:
            return self._background.call(self._event.wait, timeout)
        except TimeoutError:
            return False
