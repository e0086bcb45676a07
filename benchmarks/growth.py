"""Growth: how the cost of a message grows with sessions, pending messages, bodies and the distance of the server."""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import Any, Final

import redis

from benchmarks.contest import Contest
from benchmarks.contestants import BenchmarkError, Contestant
from benchmarks.distance import distant
from benchmarks.ours import Task
from benchmarks.workloads import Entry, Measured, Round, Workload
from shared.concurrency import Queue, Session

SESSIONS: Final = (1, 10, 100, 200, 400, 1000)
PENDING: Final = (1000, 10_000, 100_000, 1_000_000)
BODIES: Final = (80, 1000, 10_000, 100_000, 250_000)
TRIPS_MS: Final = (0, 1, 5, 10, 50)
"""Beside what the link itself takes, 0.2 ms and more."""
_SESSIONS_A_PROCESS: Final = 200
_AT_ONCE: Final = 1000
_PATIENCE: Final = 120.0
_LOOK: Final = 0.05
_TTL: Final = 60.0
"""Of the sessions: a thousand on two busy cores may miss the default of ten seconds, and what they hold comes again."""
_BYTES_A_ROUND: Final = 20_000_000
_PINGS: Final = 20


def _drained(contest: Contest, contestant: Contestant, count: int, **options: Any) -> Measured:
    """One process empties a queue that is filled already; also what that costs the server."""
    server = contest.server_cpu()
    with contest.running(contestant, "work", count, **options) as worker:
        worker.report()
        done = worker.report()
        server = contest.server_cpu() - server
    return {"per_second": (count - 1) / done["seconds"], "server_cpu_per_10000": server * 10_000 / count}


def sessions(number: int) -> Round:
    """So many workers, each with a session of its own, 200 in a process; all of them handle 1,000 messages at once.

    The queue is paused until all are there: the start of a process does not count.
    """

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        client: Any = contest.client  # its types know no answers at once
        contest.filled(contestant, count)
        asyncio.run(_pause(contest.url, paused=True))
        parts = [min(_SESSIONS_A_PROCESS, number - begun) for begun in range(0, number, _SESSIONS_A_PROCESS)]
        options: dict[str, Any] = {"concurrency": max(1, _AT_ONCE // number), "until_told": True, "ttl": _TTL}
        with ExitStack() as stack:
            workers = [
                stack.enter_context(contest.running(contestant, "share", count, sessions=part, **options))
                for part in parts
            ]
            _wait(lambda: client.zcard("{bench}:idle") >= number, f"{number} sessions")
            server = contest.server_cpu()
            asyncio.run(_pause(contest.url, paused=False))
            _wait(lambda: int(client.hget("{bench}:totals", "acked") or 0) >= count, f"{count} messages")
            server = contest.server_cpu() - server
            for worker in workers:
                worker.report()
                worker.send("report")
            reports = [found for worker in workers if (found := worker.report())["seen"]]
        seconds = max(found["last"] for found in reports) - min(found["first"] for found in reports)
        return {"per_second": count / seconds, "server_cpu_per_10000": server * 10_000 / count}

    return run


async def _pause(url: str, *, paused: bool) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, "bench", Task)
        await (queue.pause() if paused else queue.resume())


def _wait(is_there: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not is_there():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{what} were not there within {_PATIENCE:.0f} s")
        time.sleep(_LOOK)


def pending(number: int) -> Round:
    """The first messages of a queue that keeps so many behind them; each drain is as long as any other."""

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        contest.filled(contestant, number + count)
        return _drained(contest, contestant, count)

    return run


def bodies(size: int) -> Round:
    """Messages of so many bytes; fewer of them where they are large."""

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        count = max(50, min(count, _BYTES_A_ROUND // size))
        contest.filled(contestant, count, size)
        return _drained(contest, contestant, count)

    return run


def trips(milliseconds: float) -> Round:
    """A server that far away: the drain, and puts with 100 in flight; `trip_ms` is the round trip that was measured."""

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        contest.filled(contestant, count)
        with distant(contest, milliseconds) as far:
            measured = _drained(far, contestant, count)
            some = count // 4
            seconds = far.puts(contestant, "inflight", some)["seconds"]
            return measured | {"inflight_per_second": some / seconds, "trip_ms": _round_trip_ms(far.url)}

    return run


def _round_trip_ms(url: str) -> float:
    waits = []
    with redis.Redis.from_url(url) as client:
        client.ping()
        for _ in range(_PINGS):
            begun = time.perf_counter()
            client.ping()
            waits.append(time.perf_counter() - begun)
    return median(waits) * 1000


def _growing(
    make: Callable[[int], Round], steps: tuple[int, ...], unit: str, contestants: list[Contestant], count: int
) -> list[Entry]:
    ours = [one for one in contestants if one.adapter == "benchmarks.ours"]
    return [Entry(one, count, f"{step:,} {unit}", make(step)) for step in steps for one in ours]


GROWTH: Final = (
    Workload("growth_sessions", "Sessions", "So many sessions share the messages, 200 in a process at most. They wait until all are there; the start of the "
        "processes does not count.", sessions(1), 20_000, variants=partial(_growing, sessions, SESSIONS, "sessions")),
    Workload("growth_pending", "Pending messages", "The first 40,000 messages of a queue that keeps so many behind them. Each drain is as long: the start of the "
        "worker counts alike.", pending(1000), 40_000, variants=partial(_growing, pending, PENDING, "pending")),
    Workload("growth_bodies", "Size of a message", "Messages of so many bytes as JSON; with 80 the text in it is one character.", bodies(100), 20_000,
        variants=partial(_growing, bodies, BODIES, "bytes")),
    Workload("growth_trip", "Round trip to the server", "A link that adds so much to every round trip, beside its own 0.2 ms or more: `trip ms` is what a PING takes.",
        trips(0), 20_000, variants=partial(_growing, trips, TRIPS_MS, "ms")),
)  # fmt: skip
"""Run only where they are named."""
