"""Futures that callers wait for, and may have left."""

import asyncio
from typing import Any


def retrieve(task: "asyncio.Task[Any]") -> None:
    """Count a task's exception as looked at: a done callback, for tasks that all who wait for may have left."""
    if not task.cancelled():
        task.exception()


def reject(future: "asyncio.Future[Any]", error: BaseException) -> None:
    """Fail a future, unless it is done.

    It counts as looked at: a cancelled caller never looks, and asyncio would report an exception that nobody retrieved.
    """
    if not future.done():
        future.set_exception(error)
        future.exception()


def resolve(future: "asyncio.Future[None]") -> None:
    """Complete a future without a result, unless it is done."""
    if not future.done():
        future.set_result(None)
