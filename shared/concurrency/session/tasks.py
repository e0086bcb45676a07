"""Whether a task was cancelled or closed from outside, or its coroutine raised by itself what looks like that."""

import asyncio
from typing import Any


def is_cancelled(task: "asyncio.Task[Any] | None", error: BaseException) -> bool:
    """Whether this error says that somebody cancels the task; without a task a CancelledError always does."""
    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)


def is_closed(task: "asyncio.Task[Any] | None", error: BaseException) -> bool:
    """Whether the task's coroutine is being closed: nothing runs it any more, so it cannot wait."""
    if not isinstance(error, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is not task
    except RuntimeError:
        return True


def forgive(task: "asyncio.Task[Any] | None") -> None:
    """Take back all cancellations of the task."""
    while task is not None and task.cancelling():
        task.uncancel()
