"""Reentry: what a task, or one that started it, is inside of; a task may read again there, though a writer waits."""

import asyncio
from contextvars import ContextVar

from shared.concurrency.locks.leases.tenure import Source, Tenure

_inside: ContextVar[Tenure | None] = ContextVar("weir_inside", default=None)


def enter(tenure: Tenure) -> None:
    """Have this task, and those that it starts, be inside of this tenure from here on."""
    outer = _inside.get()
    if outer is not None:
        if outer.ended:
            outer = _live(outer)
        if outer is not None and outer.outer is not None and outer.outer.ended:
            # Or a chain of tasks that each start the next would keep all that they were ever inside of.
            outer.outer = _live(outer.outer)
        tenure.outer = outer
    _inside.set(tenure)


def enter_by_hand(tenure: Tenure) -> None:
    """The same for what was acquired by hand, by the task that says that it is inside of it."""
    if tenure.task is None and tenure.entered_by is None:
        tenure.entered_by = asyncio.current_task()
        enter(tenure)


def is_of(tenure: Tenure, task: "asyncio.Task[object]") -> bool:
    """Whether this task itself is inside of it, and not one that it started."""
    return task in (tenure.task, tenure.entered_by)


def leave_ended() -> None:
    """Forget what this task was inside of, as far as that has ended."""
    tenure = _inside.get()
    if tenure is not None and tenure.ended:
        _inside.set(_live(tenure.outer))


def tenure_around(source: Source) -> Tenure | None:
    """What this task is inside of at that source: valid only while whoever entered it is still inside."""
    tenure = _inside.get()
    while tenure is not None:
        if tenure.source is source and not tenure.ended and tenure.hold.left > 0:
            return tenure
        tenure = tenure.outer
    return None


def _live(tenure: Tenure | None) -> Tenure | None:
    while tenure is not None and tenure.ended:
        tenure = tenure.outer
    return tenure
