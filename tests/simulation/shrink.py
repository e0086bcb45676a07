"""Shrinks a failing run: the least of faults, messages and processes with which the same seed fails in the same way.

What is left out changes what the seed draws from there on, so nothing is known before it was tried.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.simulation.plan import NETWORK, Plan

if TYPE_CHECKING:
    from tests.simulation.run import Outcome

_MOST_STEPS: Final = 2_000_000
"""After so many steps in all it is small enough: a run that is stuck has many."""
_MESSAGES: Final = (1, 2, 3, 5, 8, 13, 20, 35, 60)


def shrunk(run: "Callable[[Plan], Outcome]", first: "Outcome", plan: Plan, trials: int) -> "tuple[Plan, Outcome, int]":
    """The smallest plan found with which it still fails, what came of it, and after how many trials."""
    search = _Search(run, first, plan, trials)
    before: Plan | None = None
    while before != search.smallest:
        before = search.smallest
        search.leave_out_faults()
        search.leave_out_messages()
        search.leave_out_strikes()
    return search.smallest, search.outcome, search.tried


class _Search:
    """What is known so far."""

    def __init__(self, run: "Callable[[Plan], Outcome]", first: "Outcome", plan: Plan, trials: int) -> None:
        self._run = run
        self._sort = _sort(first)
        self._trials = trials
        self.smallest, self.outcome = plan, first
        self.tried = self._steps = 0

    @property
    def _is_over(self) -> bool:
        return self.tried >= self._trials or self._steps > _MOST_STEPS

    def _fails(self, plan: Plan) -> bool:
        """Whether it still fails in this way; then it is the smallest."""
        if self._is_over or plan == self.smallest:
            return False
        self.tried += 1
        outcome = self._run(plan)
        self._steps += outcome.steps
        if _sort(outcome) != self._sort:
            return False
        self.smallest, self.outcome = plan, outcome
        return True

    def leave_out_faults(self) -> None:
        """All sorts at once, then one after the other."""
        sorts = sorted({one for one in self.outcome.strikes if one} | set(NETWORK))
        if self._fails(replace(self.smallest, without=self.smallest.without | set(sorts))):
            return
        for sort in sorts:
            self._fails(replace(self.smallest, without=self.smallest.without | {sort}))

    def leave_out_messages(self) -> None:
        """And processes: the fewest first."""
        least = self.smallest.messages or _MESSAGES[-1] + 1
        any(self._fails(replace(self.smallest, messages=few)) for few in _MESSAGES if few < least)
        least = self.smallest.actors or 3
        any(self._fails(replace(self.smallest, actors=few)) for few in range(1, least))

    def leave_out_strikes(self) -> None:
        """Halves of those that happened, then quarters, down to single ones."""
        parts = 1
        while strikes := [number for number, name in enumerate(self.outcome.strikes, 1) if name]:
            size = max(1, len(strikes) // parts)
            before = self.smallest
            for start in range(0, len(strikes), size):
                left_out = set(strikes[start : start + size])
                left = self.smallest.strikes if self.smallest.strikes is not None else tuple(strikes)
                self._fails(replace(self.smallest, strikes=tuple(one for one in left if one not in left_out)))
            if self._is_over or (size == 1 and before == self.smallest):
                return
            parts = min(parts * 2, len(strikes))


def _sort(outcome: "Outcome") -> str:
    """In which way it failed: without numbers, and of a traceback the last line."""
    if not outcome.failures:
        return ""
    return re.sub(r"[\d.]+", "0", outcome.failures[0].strip().splitlines()[-1].partition("[")[0])
