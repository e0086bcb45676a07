"""A small linearizability checker: Wing and Gong's search with Lowe's memory of states already met.

J. Wing, C. Gong, "Testing and verifying concurrent objects" (1993); G. Lowe, "Testing for linearizability" (2017); the
memory is what Porcupine uses. Histories of one lease are short, so nothing cleverer is needed.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)


@dataclass(frozen=True)
class Operation:
    """One call; `returned` is infinite where nobody knows whether it happened."""

    word: str
    value: int
    called: float
    returned: float = inf


@dataclass(frozen=True)
class Model(Generic[S]):
    """What a lease does, alone."""

    initial: S
    step: Callable[[S, Operation], S | None]
    """The state behind an operation, or None where it cannot happen now."""


def is_linearizable(operations: Sequence[Operation], model: Model[S]) -> bool:
    """Whether there is an order, in keeping with time, in which each operation could have happened at one moment.

    An operation that never returned may have happened, or not.
    """
    ordered = sorted(operations, key=lambda operation: operation.called)
    must = [number for number, operation in enumerate(ordered) if operation.returned != inf]
    everything = sum(1 << number for number in must)
    met: set[tuple[int, S]] = set()
    stack: list[tuple[int, S]] = [(0, model.initial)]
    while stack:
        done, state = stack.pop()
        if done & everything == everything:
            return True
        if (done, state) in met:
            continue
        met.add((done, state))
        deadline = min(ordered[number].returned for number in must if not done >> number & 1)
        for number, operation in enumerate(ordered):
            if operation.called > deadline:
                break
            if not done >> number & 1 and (after := model.step(state, operation)) is not None:
                stack.append((done | 1 << number, after))
    return False


Held = tuple[frozenset[int], int]
"""Who reads, and who writes; 0 for nobody."""


def _lease_step(state: Held, operation: Operation) -> Held | None:
    readers, writer = state
    who = operation.value
    match operation.word:
        case "read" if not writer:
            return readers | {who}, 0
        case "write" if not writer and not readers:
            return readers, who
        case "end read" if who in readers:
            return readers - {who}, writer
        case "end write" if writer == who:
            return readers, 0
    return None


READERS_WRITERS: Model[Held] = Model((frozenset(), 0), _lease_step)
"""Many readers, or one writer; `value` is who it is, from 1, and each ends its own stay alone."""


def _register_step(state: int, operation: Operation) -> int | None:
    if operation.word == "write":
        return operation.value if operation.value >= state else None
    return state if operation.value == state else None


FENCED_REGISTER: Model[int] = Model(0, _register_step)
"""A store that keeps the largest token: `write` with a smaller one cannot happen, `read` sees the last."""
