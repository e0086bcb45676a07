"""The verdict on a campaign: figures, and what stands against the product."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from tests.campaigns import history, referee
from tests.campaigns.checkers.slope import Slope, fit
from tests.campaigns.checkers.standstill import longest_standstill
from tests.campaigns.checkers.totals import Totals, total_queue
from tests.campaigns.gauges import Gauges
from tests.instruments.census import Census, take_census

IN_HANDS = 700
"""What a process holds at most: workers, prefetch and a portion under way."""
_LONG = 300.0
"""Seconds that a figure is watched for before it is said to grow: everything fills up at first."""
_LONGEST = 15.0
"""Seconds: the longest fault lasts five times to live, and what it struck is recovered within two of them."""


@dataclass(frozen=True)
class Course:
    """What a run was like."""

    struck: Counter[str]
    seconds: float
    maxsize: int


@dataclass(frozen=True)
class Verdict:
    """All that is said of one run."""

    seconds: float
    struck: dict[str, int]
    totals: Totals
    doubled: int
    """Messages whose effect happened more or less than once."""
    most_pending: int
    standstill: float
    """Seconds without a handling, at most."""
    starved: float
    """The longest time that the referee itself had no turn, in seconds."""
    census: Census
    slopes: dict[str, Slope]
    """The line of each figure that was watched for long enough."""
    against: tuple[str, ...]
    """What stands against the product; empty for a sound run."""

    def line(self) -> str:
        """The figures in one line."""
        strikes = ", ".join(f"{count} {word}" for word, count in sorted(self.struck.items())) or "no fault"
        totals = self.totals
        return (
            f"{totals.acknowledged:,} messages, {strikes}, {self.seconds:,.0f} s: {len(totals.lost)} lost, "
            f"{len(totals.unexpected)} from nowhere, {self.doubled} effects not once; {totals.duplicated:,} delivered again, "
            f"{totals.recovered:,} recovered, at most {self.most_pending} pending, longest standstill {self.standstill:.1f} s"
        )


def _slopes(gauges: Gauges) -> dict[str, Slope]:
    return {
        what: fit(samples)
        for what, samples in gauges.samples.items()
        if len(samples) > 100 and samples[-1][0] - samples[0][0] > _LONG
    }


async def judge(client: Redis, name: str, records: Path, gauges: Gauges, course: Course) -> Verdict:
    """Judge a run whose queue is at rest."""
    handlings = list(referee.read(records))
    totals = total_queue(history.read(records), ((each.part, each.number) for each in handlings))
    counted = await _counted(client, name)
    doubled = sum(times != 1 for times in counted.values())
    doubled += len({(each.part, each.number) for each in handlings} ^ counted.keys())
    census = await take_census(client, name)
    standstill = longest_standstill(each.at for each in handlings)
    slopes = _slopes(gauges)
    growing = ", ".join(f"{what} by {line}" for what, line in slopes.items() if not line.is_flat)
    against = {
        f"{len(totals.lost)} acknowledged messages are lost": totals.lost,
        f"{len(totals.unexpected)} messages come from nowhere": totals.unexpected,
        f"the effects of {doubled} messages did not happen once": doubled,
        f"{gauges.most_pending} were pending at once, of {course.maxsize}": gauges.most_pending > course.maxsize,
        f"{totals.duplicated} were delivered again, more than was in hands when something struck": totals.duplicated
        > IN_HANDS * (1 + course.struck.total()),
        f"the keys do not add up: {census}": _unsound(census),
        f"they grow: {growing}": growing,
        f"nothing was handled for {standstill:.1f} s": standstill - gauges.longest_gap > _LONGEST,
    }
    return Verdict(
        course.seconds, dict(course.struck), totals, doubled, gauges.most_pending, standstill,
        gauges.longest_gap, census, slopes, tuple(text for text, holds in against.items() if holds),
    )  # fmt: skip


async def _counted(client: Redis, name: str) -> dict[tuple[int, int], int]:
    """How often each message counted itself with its acknowledgement."""
    found: dict[tuple[int, int], int] = {}
    async for key in client.scan_iter(match=f"{{{name}}}:done:*", count=1000):
        async for field, times in client.hscan_iter(key, count=1000):
            part, number = field.decode().split("-")
            found[int(part), int(number)] = int(times)
    return found


def _unsound(census: Census) -> str:
    try:
        census.check()
    except AssertionError as error:
        return str(error)
    left = census.pending + census.waiting + census.leased + census.line + census.dead + census.marks
    return "something is left" if left else ""
