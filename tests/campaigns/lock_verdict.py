"""The verdict on a lock campaign: figures, and what stands against the product."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.campaigns.checkers.fence import Attempt, judge_fence, tokens_that_fell
from tests.campaigns.checkers.linear import READERS_WRITERS, is_linearizable
from tests.campaigns.checkers.overlap import overlaps
from tests.campaigns.checkers.starvation import longest_wait
from tests.campaigns.checkers.strikes import Strike
from tests.campaigns.pulse import read_gaps
from tests.campaigns.stays import grants, operations, read_stays, visits, waits

_PATIENCE: Final = 15.0
"""Seconds: nobody may wait longer; a dead holder's time to live, a stopped one's, and what stands before."""
_SLACK: Final = 0.1
_MANY: Final = 10
"""After so many stops of writers the store must have refused somebody, or the run has shown nothing."""


@dataclass(frozen=True)
class LockVerdict:
    """All that is said of one run."""

    seconds: float
    struck: dict[str, int]
    stays: int
    names: int
    lost: int
    """Stays that ended with their lease: of processes that were killed or stopped inside."""
    overlapping: int
    """Pairs that were inside beside a writer, where nobody was stopped or starved."""
    refused: int
    """Accesses that the store refused."""
    longest_wait: float
    against: tuple[str, ...]
    """What stands against the product; empty for a sound run."""

    def line(self) -> str:
        """The figures in one line."""
        strikes = ", ".join(f"{count} {word}" for word, count in sorted(self.struck.items())) or "no fault"
        return (
            f"{self.stays:,} stays under {self.names:,} leases, {strikes}, {self.seconds:,.0f} s: {self.lost} lost, "
            f"{self.overlapping} overlaps, the store refused {self.refused}, "
            f"longest wait {self.longest_wait:.1f} s, {len(self.against)} findings"
        )


def judge_locks(
    records: Path,
    attempts: Sequence[Attempt],
    struck: Counter[str],
    seconds: float,
    left: Sequence[str],
    *,
    strikes: Sequence[Strike],
    excludes: bool,
) -> LockVerdict:
    """Judge a run whose processes have ended.

    `left`: what they left at the server; `excludes`: whether a writer is alone, for tokens hold in any case.
    """
    stays, gaps, fence = read_stays(records), read_gaps(records, strikes), judge_fence(attempts)
    histories = operations(stays)
    broken = [name for name, history in histories.items() if not is_linearizable(history, READERS_WRITERS)]
    overlapping, fallen = overlaps(visits(stays), gaps, _SLACK), tokens_that_fell(grants(stays))
    waited = longest_wait(waits(stays), gaps)
    against = {
        f"the store took an older token behind a newer one: {fence.backwards[:2]}": fence.backwards,
        f"two wrote with one token: {fence.shared[:2]}": fence.shared,
        f"tokens did not grow: {fallen[:2]}": fallen,
        f"somebody waited for {waited:.1f} s": waited > _PATIENCE,
        f"left behind: {', '.join(left)}": left,
        "the store has refused nothing, so it was not tried": struck["stops"] >= _MANY and not fence.refused,
        f"stays are not linearizable under {broken[:5]}": excludes and broken,
        f"somebody was inside beside a writer: {overlapping[:2]}": excludes and overlapping,
        f"{fence.refused_in_time} were refused that held a good lease": excludes and fence.refused_in_time,
    }
    return LockVerdict(
        seconds, dict(struck), len(stays), len(histories), sum(stay.is_lost for stay in stays), len(overlapping),
        fence.refused, waited, tuple(text for text, holds in against.items() if holds),
    )  # fmt: skip
