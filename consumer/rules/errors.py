"""What goes wrong around handlers: how they were written, and the processes they run in."""

import asyncio

from shared.concurrency import errors


class HandlerError(Exception):
    """The message classes and the handlers do not match, or a handler cannot work; the message says what to write."""


class ProcessFailure(Exception):
    """A handler in a process of its own did not return; the text is the whole report."""


class RaisedInProcess(ProcessFailure):
    """The handler raised: the type and the text of that exception, its traceback in a note."""


class UnsendableResult(ProcessFailure):
    """The handler returned what cannot be sent to whoever submitted the message."""


class ProcessEnded(ProcessFailure):
    """The process ended before the handler did."""


class StillRunning(asyncio.CancelledError):
    """The caller was cancelled while its function runs in a thread, which nothing can stop."""

    def __init__(self, ended: "asyncio.Future[BaseException | None]") -> None:
        """`ended`: done when the thread is free again, with what the function raised."""
        super().__init__()
        self.ended = ended


def describe(error: BaseException) -> str:
    """Return the type and the text of an exception, for a report: `ValueError: no such user`."""
    if isinstance(error, ProcessFailure):
        return str(error)
    return errors.describe(error)
