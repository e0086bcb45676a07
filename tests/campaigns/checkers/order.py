"""The order of a key: its messages begin one after the other, each when the one before it is done with."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, order=True, slots=True)
class Note:
    """Somebody begins with a message of a key, or has come to the end of it."""

    at: int
    """Nanoseconds of a clock that all processes of this machine share."""
    what: str
    """`began`, `did`, or `failed`."""
    key: str
    number: int
    """Its place in the order in which the messages of its key were put."""
    process: str


@dataclass(frozen=True)
class Order:
    """A verdict; sound when the first two are empty."""

    backwards: tuple[tuple[Note, Note], ...]
    """Two beginnings in a row of a key, the second of a number that was put sooner."""
    together: tuple[tuple[Note, Note], ...]
    """Two of a key that were in hands at once: one began while another was in hand, which came to its end later."""
    begun: int
    """How often something began: with what failed and what came again."""
    keys: int


def judge_order(notes: Iterable[Note]) -> Order:
    """Judge all keys. Whoever was killed with one in hand has no end of it, and so met nobody."""
    by_key: dict[str, list[Note]] = defaultdict(list)
    for note in notes:
        by_key[note.key].append(note)
    backwards: list[tuple[Note, Note]] = []
    together: list[tuple[Note, Note]] = []
    begun = 0
    for each in by_key.values():
        each.sort()
        beginnings = [note for note in each if note.what == "began"]
        begun += len(beginnings)
        backwards += [(one, other) for one, other in pairwise(beginnings) if other.number < one.number]
        together += _together(each)
    return Order(tuple(backwards), tuple(together), begun, len(by_key))


def _together(notes: list[Note]) -> list[tuple[Note, Note]]:
    found: list[tuple[Note, Note]] = []
    met: list[tuple[Note, Note]] = []
    in_hands: dict[tuple[str, int], Note] = {}
    for note in notes:
        holder = note.process, note.number
        if note.what == "began":
            met += [(other, note) for who, other in in_hands.items() if who != holder]
            in_hands[holder] = note
        elif (began := in_hands.pop(holder, None)) is not None:
            found += [(one, other) for one, other in met if one is began]
    return found
