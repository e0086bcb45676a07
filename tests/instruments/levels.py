"""Has all queues of a run of tests need a level, so that the flow set of scripts does what the plain one does."""

import os
from typing import Final

from shared.concurrency.queues.membership.level import KNOWN, Level

FORCED: Final = "TESTS_FORCE_LEVEL"
"""The variable; it is read by tests alone."""


def force_where_asked() -> None:
    """Where the variable is set, have each participant of this process raise its queue's level when it registers."""
    if not os.environ.get(FORCED):
        return
    begin = Level.__init__

    def begin_raised(level: Level, name: str) -> None:
        begin(level, name)
        level.wanted = KNOWN

    setattr(Level, "__init__", begin_raised)  # noqa: B010  # mypy knows no assignment to a method
