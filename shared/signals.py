"""SIGTERM and SIGINT of a service, from its first moment on. Imports nothing that takes time."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from shared.local.forked import Forks

ENDINGS: Final = (signal.SIGTERM, signal.SIGINT)
"""The signals that end a service."""

Receiver = Callable[[signal.Signals], object]


class Signals:
    """Receives the signals that end a service; made before the imports that take a second, in the main thread.

    Outside `delivered_to` nothing is begun, or all is done: a signal ends the process at once, with exit code 0.
    """

    def __init__(self) -> None:
        """Receive them from here on."""
        self._receiver: Receiver | None = None
        self._is_ending = False
        Forks(self._receive, {ending: signal.signal(ending, self._receive) for ending in ENDINGS})

    @contextmanager
    def delivered_to(self, receiver: Receiver) -> Iterator[None]:
        """Have the first signal call `receiver` inside the block, between any two steps of the main thread.

        A second one ends the process at once, with exit code 128 and its number, also while the event loop is blocked.
        """
        self._receiver = receiver
        try:
            yield
        finally:
            self._receiver = None

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._receiver is None:
            os._exit(0)
        if self._is_ending:
            os._exit(128 + number)  # what we hold comes back at the session's deadline
        self._is_ending = True
        self._receiver(signal.Signals(number))


def pass_over(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. The programs that a process starts still stop at the signal; SIG_IGN would be inherited."""
