"""Reentry: what a task, or the one that started it, reads under; it may read again there, though a writer waits."""

from contextvars import ContextVar

from shared.concurrency.locks.leases.hold import Hold
from shared.concurrency.locks.leases.tenure import Source, Tenure

_reading: ContextVar[Tenure | None] = ContextVar("weir_reading", default=None)


def read_on(tenure: Tenure) -> None:
    """Have this task, and those that it starts, read under this tenure from here on."""
    outer = _reading.get()
    tenure.outer = outer if outer is None or not outer.ended else _live(outer)
    _reading.set(tenure)


def leave_ended() -> None:
    """Forget what this task read under, as far as that has ended."""
    tenure = _reading.get()
    if tenure is not None and tenure.ended:
        _reading.set(_live(tenure.outer))


def own_hold(source: Source) -> Hold | None:
    """What this task reads under already at that source: valid only while whoever entered it is still inside."""
    tenure = _reading.get()
    while tenure is not None:
        if tenure.source is source and not tenure.ended and tenure.hold.left > 0:
            return tenure.hold
        tenure = tenure.outer
    return None


def _live(tenure: Tenure | None) -> Tenure | None:
    while tenure is not None and tenure.ended:
        tenure = tenure.outer
    return tenure
