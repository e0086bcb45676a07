"""Repeats: a message is handled again only where a strike hit who had it, and not more often than that had in hand."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from tests.campaigns.checkers.strikes import Strike


@dataclass(frozen=True, slots=True)
class Handled:
    """One handling: of which message, by which process, and from when to when, in nanoseconds."""

    name: tuple[int, int]
    pid: int
    began: int
    at: int


@dataclass(frozen=True)
class Repeats:
    """A verdict; sound when `unexplained` is empty."""

    unexplained: tuple[tuple[Handled, Handled], ...]
    """A handling and the next of the same message, between which no strike hit either, or one that hit too many."""
    most: int
    """How many the messages were, at most, that one strike took from one process."""


def judge_repeats(
    handlings: Iterable[Handled], strikes: Iterable[Strike], in_hands: int, taken_since: int = 0, notice: float = 0.0
) -> Repeats:
    """Name a strike for each message that was handled once more.

    It hit who handled it first or who handled it next, in the time from the sooner beginning of the two to the end of
    the later. One strike explains `in_hands` of a process at most that had begun before, `taken_since` that began
    later, while nobody knew yet that its session was over, and where the server forgot, all that was handled since what
    it kept. `notice`: seconds until whoever was struck begins nothing more.
    """
    ordered = sorted(strikes, key=lambda strike: strike.began)
    of_all = [strike for strike in ordered if strike.pid is None]
    of_one: dict[int, list[Strike]] = {}
    for strike in ordered:
        if strike.pid is not None:
            of_one.setdefault(strike.pid, []).append(strike)
    taken: Counter[tuple[Strike, int, bool]] = Counter()
    unexplained: list[tuple[Handled, Handled]] = []
    for first, again in _pairs(handlings):
        own = [strike for pid in dict.fromkeys((first.pid, again.pid)) for strike in of_one.get(pid, ())]
        since = min(first.began, again.began) - notice * 1e9
        for strike in (*own, *of_all):
            held = first if strike.strikes(first.pid) else again
            if not strike.meets(since, again.at):
                continue
            if strike.kept is not None and first.at >= strike.kept:
                break
            is_late = held.began > strike.began
            if taken[strike, held.pid, is_late] < (taken_since if is_late else in_hands):
                taken[strike, held.pid, is_late] += 1
                break
        else:
            unexplained.append((first, again))
    return Repeats(tuple(unexplained), max(taken.values(), default=0))


def _pairs(handlings: Iterable[Handled]) -> Iterable[tuple[Handled, Handled]]:
    """Each handling of a message and the next, in the order of the second."""
    by_name: dict[tuple[int, int], list[Handled]] = {}
    for each in handlings:
        by_name.setdefault(each.name, []).append(each)
    found: list[tuple[Handled, Handled]] = []
    for times in by_name.values():
        if len(times) > 1:
            found += pairwise(sorted(times, key=_end))
    return sorted(found, key=lambda pair: pair[1].at)


def _end(handled: Handled) -> int:
    return handled.at
