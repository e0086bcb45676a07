"""Tasks: whether one was cancelled or closed from outside, or raised by itself what looks like that; outlasting one."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from shared.concurrency.session.clock import boottime

_CANCELLED_AGAIN: Final = 0.1


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


async def outlast(task: "asyncio.Task[Any]", seconds: float | None = None) -> asyncio.CancelledError | None:
    """Wait for a task, however often the caller is cancelled meanwhile; returns the last cancellation.

    Gives up after so many seconds; then the task is not done.
    """
    cancelled: asyncio.CancelledError | None = None
    until = None if seconds is None else boottime() + seconds
    while not task.done() and (until is None or boottime() < until):
        try:
            await asyncio.wait({task}, timeout=None if until is None else max(0.0, until - boottime()))
        except asyncio.CancelledError as error:
            # Its traceback leads to frames that keep it: they would keep each other alive.
            cancelled = error.with_traceback(None)
    return cancelled


async def whole(step: Coroutine[Any, Any, object]) -> None:
    """Do all of a step, however often the caller is cancelled meanwhile; a cancellation is raised behind it.

    What is gathered is cancelled with its caller, and what has not begun by then never runs: that closes nothing.
    """
    doing = asyncio.create_task(step, name="weir-whole")
    cancelled = await outlast(doing)
    doing.result()
    if cancelled is not None:
        raise cancelled


async def end(task: "asyncio.Future[Any]") -> None:
    """Cancel a task until it ends: what it awaits may swallow a cancellation, as connecting does in redis-py 8.

    What it raises on the way is dropped, and not reported as an exception that nobody retrieved.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCELLED_AGAIN)
    if not task.cancelled():
        task.exception()


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
