"""The workloads of locks: what one round of each does, and what is measured."""

import random
import time
from typing import Final

from benchmarks.contest import Contest
from benchmarks.contestants import Contestant
from benchmarks.workloads import Entry, Measured, Workload

CHILD: Final = "benchmarks.leases.child"


def cycle(contest: Contest, contestant: Contestant, count: int) -> Measured:
    """One process alone: acquire and release, one after the other."""
    contest.empty()
    with contest.running(contestant, "cycle", count, module=CHILD) as child:
        return {"per_second": count / child.report()["seconds"]}


def hand_over(contest: Contest, contestant: Contestant, count: int) -> Measured:
    """Two processes, one waits: milliseconds from before the release in one to the return of acquire in the other."""
    contest.empty()
    chance = random.Random(count)  # noqa: S311
    waits = []
    with (
        contest.running(contestant, "obey", count, module=CHILD) as one,
        contest.running(contestant, "obey", count, module=CHILD) as other,
    ):
        holder, waiter = one, other
        for child in (holder, waiter):
            child.report()
        holder.send("acquire")
        holder.report()
        for _ in range(count):
            waiter.send("acquire")
            # The other one waits by then. The pause is random, so that it meets a poller at any point of its interval.
            time.sleep(0.01 + 0.1 * chance.random())
            holder.send("release")
            waits.append(waiter.report()["at"] - holder.report()["at"])
            holder, waiter = waiter, holder
    waits.sort()
    return {f"p{part}_ms": waits[min(count - 1, count * part // 100)] * 1000 for part in (50, 95, 99)}


def reads(contest: Contest, contestant: Contestant, count: int) -> Measured:
    """One process holds a read lease, and enters and leaves further reads meanwhile."""
    contest.empty()
    with contest.running(contestant, "reads", count, module=CHILD) as child:
        return {"per_second": count / child.report()["seconds"]}


def _who_can_wait(contestants: list[Contestant], count: int) -> list[Entry]:
    return [Entry(one, count) for one in contestants if one.adapter != "benchmarks.leases.thin"]


def _ours(contestants: list[Contestant], count: int) -> list[Entry]:
    return [Entry(one, count) for one in contestants if one.name == "ours"]


WORKLOADS: Final = (
    Workload("cycle", "Acquire and release", "One process, one after the other, without contention.", cycle, 3000,
        ("per_second", "a second", "more")),
    Workload("hand_over", "Hand-over", "Two processes, one of which waits: from before the release to the return of acquire in the other.",
        hand_over, 60, ("p50_ms", "ms", "less"), variants=_who_can_wait),
    Workload("reads", "Local readers", "`async with catalog.read()` in a process that reads already: no call to the server.", reads, 100_000,
        ("per_second", "a second", "more"), variants=_ours),
)  # fmt: skip
