"""First come, first served: who had returned before another began comes out before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: when its put began, and when it was known to be in (infinite: never)."""

    name: object
    asked: float
    known: float = inf


def out_of_turn(delivered: Sequence[Turn]) -> list[tuple[Turn, Turn]]:
    """Pairs (passed, passing), in the order of delivery: the first came out behind one that began after it was in.

    One pair for each message that passed another, with the one that it can least excuse.
    """
    found: list[tuple[Turn, Turn]] = []
    soonest: Turn | None = None
    for turn in reversed(delivered):
        if soonest is not None and soonest.known < turn.asked:
            found.append((soonest, turn))
        if soonest is None or turn.known < soonest.known:
            soonest = turn
    return found[::-1]
