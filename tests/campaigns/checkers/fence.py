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
    """Whether accepted tokens never fall, and each writer has one of its own.

    A read may come behind a read with a larger token: they are inside together.
    """
    largest: dict[str, tuple[int, int]] = {}
    owners: dict[tuple[str, int], str] = {}
    backwards: list[Attempt] = []
    shared: list[Attempt] = []
    refused = refused_in_time = 0
    for attempt in attempts:
        if attempt.is_write and owners.setdefault((attempt.lease, attempt.token), attempt.holder) != attempt.holder:
            shared.append(attempt)
        written, read = largest.get(attempt.lease, (0, 0))
        if not attempt.accepted:
            refused += 1
            refused_in_time += not attempt.is_late
        elif attempt.token < (max(written, read) if attempt.is_write else written):
            backwards.append(attempt)
        elif attempt.is_write:
            largest[attempt.lease] = attempt.token, read
        else:
            largest[attempt.lease] = written, max(read, attempt.token)
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
    """Pairs (earlier, writer): the writer asked when the earlier was there, and its token is not larger.

    A reader may share the token of one that is there already.
    """
    found: list[tuple[Grant, Grant]] = []
    by_lease: dict[str, list[Grant]] = {}
    for grant in grants:
        if grant.entered != inf:
            by_lease.setdefault(grant.lease, []).append(grant)
    for each in by_lease.values():
        entered = sorted(each, key=lambda grant: grant.entered)
        largest: Grant | None = None
        behind = 0
        for grant in sorted(each, key=lambda grant: grant.asked):
            while behind < len(entered) and entered[behind].entered < grant.asked:
                if largest is None or entered[behind].token > largest.token:
                    largest = entered[behind]
                behind += 1
            if largest is not None and grant.is_write and grant.token <= largest.token:
                found.append((largest, grant))
    return found
