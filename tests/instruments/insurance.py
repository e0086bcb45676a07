"""Looks of insurance that never come: then only a notification wakes who waits, and a test may be as slow as it is."""

import re
from typing import Any, Final

import pytest

from shared.concurrency.queues import control
from shared.concurrency.queues.effects import forwards
from shared.concurrency.queues.results import cancellation
from shared.concurrency.queues.results import lane as results
from shared.concurrency.queues.takes.lane import TakeLane
from shared.concurrency.session import insurance
from shared.concurrency.session.scripts import load

NEVER: Final = 3600.0
"""Seconds."""
_LOOK: Final = re.compile(rb"^local LOOK_MS = (\d+)$", re.MULTILINE)
"""In how many milliseconds a session that waits looks at the latest, as scripts say it."""
_CONSTANTS: Final = (
    (cancellation, "_LOOK_AGAIN"), (control, "_LOOK_AGAIN"), (forwards, "_LOOK_AGAIN"), (results, "_LOOK_AGAIN"),
    (insurance, "AT_FIRST"), (insurance, "AT_REST"),
)  # fmt: skip


def end_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have queues, events, conditions and barriers of this process rely on what they are notified of.

    Waiting for a lock goes on looking, for that keeps its place alive.
    """
    for module, constant in _CONSTANTS:
        monkeypatch.setattr(module, constant, NEVER)
    (longest,) = {int(found) for found in _LOOK.findall(load("settle_and_take").source)}
    take = TakeLane._take

    # What is due sooner, such as the end of another's session, is no insurance.
    def taken(lane: TakeLane, wish: Any, entries: list[bytes], look_again: int, now: int) -> None:
        take(lane, wish, entries, round(1000 * NEVER) if look_again >= longest else look_again, now)

    monkeypatch.setattr(TakeLane, "_take", taken)
