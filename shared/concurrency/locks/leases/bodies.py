"""Bodies: which body of `async with` is left, where several have entered one object."""

import asyncio
import inspect
from collections.abc import Sequence
from types import FrameType
from typing import Final

from shared.concurrency.locks.leases.by_hand import first_live
from shared.concurrency.locks.leases.tenure import Tenure

_OF_COROUTINES: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def left_by(bodies: Sequence[Tenure], task: "asyncio.Task[object]", frame: FrameType) -> Tenure:
    """The tenure whose body ends: the frame's, else the task's, else that of a task that is over, else the only one.

    The frame of an `async with` is the same when it is entered and left, also when another task leaves it, as at the
    end of an abandoned generator. An exit stack enters and leaves in frames of its own; then the task decides.

    :raises RuntimeError: when there is none, or several of other tasks.
    """
    if frame.f_code.co_flags & _OF_COROUTINES:  # else an event loop called, for whom they all look alike
        for tenure in reversed(bodies):
            if tenure.frame is frame:
                return tenure
    for tenure in reversed(bodies):
        if tenure.task is task:
            return tenure
    over = [tenure for tenure in bodies if tenure.task is None or tenure.task.done()]
    found, several = first_live(over or bodies)
    if found is None:
        raise RuntimeError("this `async with` is left, but nobody is inside")
    if several:
        raise RuntimeError(
            "leaving this `async with` is ambiguous: this task is not inside, and several others are. Nothing was given "
            "back; leave it in the task that entered it, or use `acquire()` and the `release()` of its Lease"
        )
    return found
