"""Looks of insurance that never come: then only a notification wakes who waits, and a test may be as slow as it is."""

from typing import Any, Final

import pytest

from shared.concurrency.locks import barrier, condition, event
from shared.concurrency.queues import control
from shared.concurrency.queues.effects import forwards
from shared.concurrency.queues.puts import look
from shared.concurrency.queues.results import cancellation
from shared.concurrency.queues.results import lane as results
from shared.concurrency.queues.takes.lane import TakeLane

NEVER: Final = 3600.0
"""Seconds."""
_OF_A_TAKE: Final = 1000
"""In how many milliseconds the script tells a session that waits to look again, where nothing is due before."""
_CONSTANTS: Final = (
    (barrier, "_LOOK_AGAIN"), (cancellation, "_LOOK_AGAIN"), (condition, "_LOOK_AGAIN"), (control, "_LOOK_AGAIN"),
    (event, "_LOOK_AGAIN"), (forwards, "_LOOK_AGAIN"), (look, "_AGAIN"), (results, "_LOOK_AGAIN"),
)  # fmt: skip


def end_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have queues, events, conditions and barriers of this process rely on what they are notified of.

    Waiting for a lock goes on looking, for that keeps its place alive.
    """
    for module, constant in _CONSTANTS:
        monkeypatch.setattr(module, constant, NEVER)
    take = TakeLane._take

    def taken(lane: TakeLane, wish: Any, entries: list[bytes], look_again: int, now: int) -> None:
        take(lane, wish, entries, round(1000 * NEVER) if look_again == _OF_A_TAKE else look_again, now)

    monkeypatch.setattr(TakeLane, "_take", taken)
