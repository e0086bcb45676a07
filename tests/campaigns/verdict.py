"""The verdict on a campaign: figures, and what stands against the product."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from tests.campaigns.checkers.bound import over_the_bound
from tests.campaigns.checkers.conservation import Balance, imbalances
from tests.campaigns.checkers.leaks import leaks
from tests.campaigns.checkers.losses import Losses
from tests.campaigns.checkers.order import Order
from tests.campaigns.checkers.repeats import Repeats
from tests.campaigns.checkers.slope import FEWEST, Slope, fit
from tests.campaigns.checkers.strikes import Strike
from tests.campaigns.checkers.totals import Totals
from tests.campaigns.evidence import Evidence
from tests.campaigns.gauges import RESIDENT, Gauges
from tests.campaigns.record import read_counts
from tests.instruments.census import Census, take_census
from tests.instruments.waiting import resolved

IN_HANDS: Final = 150
"""What a process has in hand at most: five times its handlers. It takes ahead what it handles in 5 ms."""
TAKEN_SINCE: Final = 600
"""What it handles at most, at twice the rate seen here, from a strike until its session is renewed or over."""
_LONG: Final = 200.0
"""Seconds that a line is fitted over before it is said to grow, without the first third: everything fills up then."""
_ARENA: Final = 1.0
"""MiB: CPython takes so much at once, and keeps what it has. What leaks shows in what is in use, which has no grain."""
_LONGEST: Final = 15.0
"""Seconds: the longest fault lasts five times to live, and what it struck is recovered within two of them."""


@dataclass(frozen=True)
class Course:
    """What a run was like."""

    struck: Counter[str]
    seconds: float
    maxsize: int
    healed: list[int]
    """When each strike was over, in nanoseconds."""
    recovers: float
    """Seconds within which messages are handled again."""
    strikes: Sequence[Strike] = ()
    forgets: float = 0.0
    """Seconds of acknowledgements that a strike may take back, as the deployment is documented."""
    remains: Sequence[str] = ()
    """What the server held when nobody was there any more, and not before."""

    @property
    def forgot(self) -> bool:
        """Whether the server ever came back with older data."""
        return any(strike.kept is not None for strike in self.strikes)


@dataclass(frozen=True)
class Verdict:
    """All that is said of one run."""

    seconds: float
    struck: dict[str, int]
    totals: Totals
    doubled: int
    """Messages whose effect happened more or less than once, but for those that the server forgot with all of them."""
    forgotten: Losses
    """Acknowledged messages and effects that the server forgot, where its deployment may."""
    most_pending: int
    standstill: float
    """Seconds without a handling, at most."""
    recovery: float
    """Seconds from the end of a strike to the next handling, at most, less what the machine took."""
    waited: float
    """Seconds that a hundred puts waited, at most, less what the machine took."""
    repeats: Repeats
    order: Order
    slopes: dict[str, Slope]
    """The line of each figure that was watched."""
    against: tuple[str, ...]
    """What stands against the product; empty for a sound run."""

    def line(self) -> str:
        """The figures in one line."""
        strikes = ", ".join(f"{count} {word}" for word, count in sorted(self.struck.items())) or "no fault"
        totals, forgotten = self.totals, self.forgotten
        keyed = f"{self.order.begun:,} begun in order under {self.order.keys} keys, " if self.order.keys else ""
        took = (
            f" (the server forgot {forgotten.count:,} messages, back to {forgotten.reach:.2f} s)"
            if forgotten.count
            else ""
        )
        return (
            f"{totals.acknowledged:,} messages, {totals.refused:,} refused, {strikes}, {self.seconds:,.0f} s: {keyed}{len(totals.lost)} lost, "
            f"{len(totals.unexpected)} from nowhere, {self.doubled} effects not once{took}; "
            f"{totals.duplicated:,} delivered again (at most {self.repeats.most} of one process by one strike), {totals.recovered:,} recovered, at most {self.most_pending} pending, "
            f"handled again within {self.recovery:.1f} s, puts waited {self.waited:.1f} s at most, "
            f"longest standstill {self.standstill:.1f} s"
        )


def _grain(what: str) -> float:
    return _ARENA if what.startswith(f"{RESIDENT} of") else 0.0


def _slopes(gauges: Gauges) -> dict[str, Slope]:
    return {what: fit(samples) for what, samples in gauges.samples.items() if len(samples) >= FEWEST}


def _growing(slopes: dict[str, Slope]) -> str:
    """What grows, of all that was watched for long enough."""
    return ", ".join(
        f"{what} by {line}" for what, line in slopes.items() if line.seconds > _LONG and line.grows_by(_grain(what))
    )


async def judge(client: Redis, name: str, records: Path, gauges: Gauges, course: Course) -> Verdict:
    """Judge a run whose queue is at rest, and whose processes have ended."""
    # In a thread: of a long run it takes a minute, and sessions are open in this loop.
    evidence = await asyncio.to_thread(Evidence, records, course.strikes)
    totals, counted = evidence.totals, await read_counts(client, name)
    odd = {each for each, times in counted.items() if times != 1} | (evidence.handled ^ counted.keys())
    uncounted = odd & (evidence.handled - counted.keys())
    forgotten = await asyncio.to_thread(evidence.forgotten, uncounted)
    repeats = await asyncio.to_thread(evidence.repeats, IN_HANDS, TAKEN_SINCE)
    may_forget = course.forgot and not forgotten.unexplained
    if may_forget:
        odd -= uncounted
    over = over_the_bound(gauges.pending, course.maxsize)
    census = await take_census(client, name)
    order = await asyncio.to_thread(evidence.order)
    awake, recovery, waited = evidence.awake_standstill(), evidence.recovery(course.healed), evidence.longest_put()
    slopes = _slopes(gauges)
    growing, left = _growing(slopes), [*leaks(*evidence.left), *course.remains]
    unsound = await _unsound(client, name, census, evidence, counted.values())
    against = {
        f"{len(totals.lost)} acknowledged messages are lost": totals.lost and not may_forget,
        f"{len(totals.unexpected)} messages come from nowhere": totals.unexpected,
        f"{len(totals.defiant)} messages were refused, and handled nevertheless": totals.defiant,
        f"the effects of {len(odd)} messages did not happen once": odd,
        f"{forgotten.unexplained} were forgotten, and no strike explains it": forgotten.unexplained,
        f"more than {course.maxsize} were pending at once: {over[:3]}": over,
        f"the server forgot what it had answered {forgotten.beyond:.2f} s before": forgotten.beyond > course.forgets,
        f"{len(repeats.unexplained)} were delivered again, and no strike explains it: {repeats.unexplained[:2]}": repeats.unexplained,
        f"the keys do not add up: {unsound}": unsound,
        f"a message began behind a later one of its key: {order.backwards[:1]}": order.backwards,
        f"two of a key were in hands at once: {order.together[:1]}": order.together,
        f"they grow: {growing}": growing,
        f"left behind: {', '.join(left)}": left,
        f"nothing was handled for {awake:.1f} s": awake > _LONGEST,
        f"{recovery:.1f} s until messages were handled again": recovery > course.recovers,
        f"puts waited for {waited:.1f} s": waited > _LONGEST,
    }
    return Verdict(
        course.seconds, dict(course.struck), totals, len(odd), forgotten, gauges.most_pending, evidence.standstill(), recovery,
        waited, repeats, order, slopes, tuple(text for text, holds in against.items() if holds),
    )  # fmt: skip


async def _unsound(client: Redis, name: str, census: Census, evidence: Evidence, counted: Iterable[int]) -> str:
    """What does not add up. `counted`: how often each message counted itself."""
    try:
        census.check()
    except AssertionError as error:
        return str(error)
    if census.pending + census.waiting + census.leased + census.line + census.dead + census.marks:
        return f"something is left: {census}"
    totals = await resolved(client.hmget(f"{{{name}}}:totals", ["put", "acked", "dead", "cancelled"]))
    put, acked, dead, cancelled = (int(total or 0) for total in totals)
    seen = evidence.totals
    balance = Balance(put, acked, dead + cancelled, 0, evidence.kept_puts(), seen.attempted, seen.handled, sum(counted))
    return "; ".join(imbalances(balance))
