"""Insurance: when whoever waits for a notification looks by itself, for one may have been lost.

Nothing else depends on these looks. What is due at a known time is looked at then, however long somebody has waited.
"""

from typing import Final

AT_FIRST: Final = 1.0
AT_REST: Final = 5.0
"""The scripts `settle_and_take` and `acquire` name no longer time."""
RESTS_AFTER: Final = 60.0


def next_look(waited: float) -> float:
    """In how many seconds to look, when nothing has happened for so many."""
    return AT_REST if waited >= RESTS_AFTER else AT_FIRST
