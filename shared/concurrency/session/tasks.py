"""Whether a task was cancelled or closed from outside, or its coroutine raised by itself what looks like that."""

import asyncio
from typing import Any, Protocol


class Body(Protocol):
    """What is cancelled when something that it holds is lost: a task, or what stands between it and its task."""

    def cancel(self, msg: str) -> object:
        """Cancel it."""

    def cancelling(self) -> int:
        """How many cancellations are not taken back."""

    def uncancel(self) -> int:
        """Take one back; how many are left."""


def is_cancelled(task: Body | None, error: BaseException) -> bool:
    """Whether this error says that somebody cancels the task; without a task a CancelledError always does."""
    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)


def is_closed(task: Body | None, error: BaseException) -> bool:
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
