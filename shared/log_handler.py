"""The handler of the logs: a pipe that nobody reads holds nothing up."""

import logging
import os
import select
import stat
from typing import TextIO

_PATIENCE_MS = 100
"""For a reader that is behind. Once it was not enough, lines are dropped until there is room again."""
_CHUNK = select.PIPE_BUF
"""What a pipe that is ready takes without blocking."""


class PatientHandler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream; drops those that a pipe has no room for, and says how many.

    A write to a full pipe waits for its reader: the event loop would stand still, and lose its sessions. A file or a
    terminal is written to as ever.
    """

    def __init__(self, stream: TextIO) -> None:
        """Begin with nothing dropped."""
        super().__init__(stream)
        self._pipe = _pipe(stream)
        self._dropped = 0
        self._is_cut = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or drop it."""
        if self._pipe is None:
            super().emit(record)
            return
        try:
            if self._dropped and self._has_room(self._pipe, 0):
                lost = f"{self._dropped} lines of the log were dropped: nobody read them in time"
                self._write(self._pipe, logging.LogRecord("weir.logs", logging.WARNING, "", 0, lost, None, None))
                self._dropped = 0
            if self._dropped or not self._write(self._pipe, record):
                self._dropped += 1
        except Exception:  # noqa: BLE001  # as every handler of the standard library
            self.handleError(record)

    def _write(self, pipe: int, record: logging.LogRecord) -> bool:
        """Write a record; of a long one perhaps the beginning alone. Returns whether there was room for all of it."""
        line = f"{self.format(record)}{self.terminator}".encode(errors="backslashreplace")
        if self._is_cut:
            line = self.terminator.encode() + line
        at = 0
        while at < len(line):
            if not self._has_room(pipe, _PATIENCE_MS):
                self._is_cut = self._is_cut or at > 0
                return False
            at += os.write(pipe, line[at : at + _CHUNK])
        self._is_cut = False
        return True

    @staticmethod
    def _has_room(pipe: int, patience: int) -> bool:
        poll = select.poll()
        poll.register(pipe, select.POLLOUT)
        # A pipe that is broken is ready too: the write says so.
        return bool(poll.poll(patience))


def _pipe(stream: TextIO) -> int | None:
    """The file descriptor of a stream that is a pipe or a socket; None for others."""
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return None
    return descriptor if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None
