"""The engine's log: standard `logging`, under the names `weir.*`.

The engine writes to no stream of its own choice: the application configures `logging`, or Python's last resort prints
warnings on stderr. A log handler is other people's code, and it runs inside ours: what it raises must not stop the loss
of a lease, the heartbeat thread or a lane, so it ends here.
"""

import logging
from typing import Final


class LogLine:
    """The message of a record: a text, and what a structured log shows beside it."""

    __slots__ = ("fields", "text")

    def __init__(self, text: str, fields: dict[str, object]) -> None:
        """`text` never changes, so that a log can be searched for it; `fields` say what it is about."""
        self.text: Final = text
        self.fields: Final = fields

    def __str__(self) -> str:
        return " ".join((self.text, *(f"{word}={value!r}" for word, value in self.fields.items())))


class Log:
    """A logger that never raises."""

    def __init__(self, name: str) -> None:
        """`name`: the room, for example "queues"; the logger is `weir.queues`."""
        self._logger = logging.getLogger(f"weir.{name}")

    @property
    def is_debug(self) -> bool:
        """Whether a line at debug is written; for lines whose fields cost something."""
        return self._logger.isEnabledFor(logging.DEBUG)

    def debug(self, text: str, /, **fields: object) -> None:
        """Say what only somebody who looks for a fault wants to know."""
        self._write(logging.DEBUG, text, fields)

    def info(self, text: str, /, **fields: object) -> None:
        """Say what is as it should be."""
        self._write(logging.INFO, text, fields)

    def warning(self, text: str, /, **fields: object) -> None:
        """Say what the engine deals with, and what an operator should know."""
        self._write(logging.WARNING, text, fields)

    def error(self, text: str, /, **fields: object) -> None:
        """Say what somebody must do something about."""
        self._write(logging.ERROR, text, fields)

    def defect(self, error: BaseException, text: str, /, **fields: object) -> None:
        """Report a defect of our own, with its traceback."""
        self._write(logging.ERROR, text, fields, error=error)

    def traceback(self, error: BaseException, text: str, /, **fields: object) -> None:
        """As `warning`, with the traceback of an exception that other people's code has raised."""
        self._write(logging.WARNING, text, fields, error=error)

    def _write(self, level: int, text: str, fields: dict[str, object], *, error: BaseException | None = None) -> None:
        try:
            if self._logger.isEnabledFor(level):
                self._logger.log(level, LogLine(text, fields), exc_info=error, stacklevel=3)
        except Exception:  # noqa: BLE001, S110  # a handler that raises has nowhere to report to: the log is what failed
            pass
