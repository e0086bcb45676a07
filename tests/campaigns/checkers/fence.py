"""The fence: what a store that compares tokens was given, and what it took."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Attempt:
    """One access to the store of a lease, in the order in which the store saw them."""

    lease: str
    holder: str
    token: int
    is_write: bool
    is_late: bool
    """Whether the holder itself knew that its lease was over: it tries on purpose."""
    accepted: bool


@dataclass(frozen=True)
class Fence:
    """A verdict; sound when the first two are empty."""

    backwards: tuple[Attempt, ...]
    """Accepted behind a larger token."""
    shared: tuple[Attempt, ...]
    """Written with the token of another writer."""
    refused: int
    refused_in_time: int
    """Refused although the holder thought that its lease was good: somebody else had it already."""


def judge_fence(attempts: Iterable[Attempt]) -> Fence:
    """Whether accepted tokens never fall, and each writer has one of its own."""
    largest: dict[str, int] = {}
    owners: dict[tuple[str, int], str] = {}
    backwards: list[Attempt] = []
    shared: list[Attempt] = []
    refused = refused_in_time = 0
    for attempt in attempts:
        if attempt.is_write and owners.setdefault((attempt.lease, attempt.token), attempt.holder) != attempt.holder:
            shared.append(attempt)
        if not attempt.accepted:
            refused += 1
            refused_in_time += not attempt.is_late
        elif attempt.token < largest.get(attempt.lease, 0):
            backwards.append(attempt)
        else:
            largest[attempt.lease] = attempt.token
    return Fence(tuple(backwards), tuple(shared), refused, refused_in_time)


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant of a lease: when it was asked for, when it was there, and its token."""

    lease: str
    asked: float
    entered: float
    token: int
    is_write: bool


def tokens_that_fell(grants: Sequence[Grant]) -> list[tuple[Grant, Grant]]:
    """Pairs (earlier, later): the later was asked for when the earlier was there, and its token is not larger.

    Readers may share a token: theirs must not be smaller.
    """
    found: list[tuple[Grant, Grant]] = []
    by_lease: dict[str, list[Grant]] = {}
    for grant in grants:
        by_lease.setdefault(grant.lease, []).append(grant)
    for each in by_lease.values():
        entered = sorted((grant for grant in each if grant.entered != inf), key=lambda grant: grant.entered)
        largest: Grant | None = None
        behind = 0
        for grant in sorted(each, key=lambda grant: grant.asked):
            while behind < len(entered) and entered[behind].entered < grant.asked:
                if largest is None or entered[behind].token > largest.token:
                    largest = entered[behind]
                behind += 1
            if largest is None or grant.entered == inf or grant.token > largest.token:
                continue
            if grant.token < largest.token or (grant.is_write and largest.is_write):
                found.append((largest, grant))
    return found
