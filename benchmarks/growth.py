"""Growth: how the cost of a message grows with sessions, pending messages, bodies and the distance of the server."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, Final

import redis

from benchmarks.contest import Contest
from benchmarks.contestants import Contestant
from benchmarks.distance import distant
from benchmarks.workloads import Entry, Measured, Round, Workload

SESSIONS: Final = (1, 10, 100, 200)
PENDING: Final = (1000, 10_000, 100_000, 1_000_000)
BODIES: Final = (80, 1000, 10_000, 100_000, 250_000)
TRIPS_MS: Final = (0, 1, 5, 10, 50)
"""Beside what the link itself takes, about 0.1 ms."""
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
    """So many workers, each with a session of its own, in one process; all of them handle 1,000 messages at once."""

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        contest.filled(contestant, count)
        return _drained(contest, contestant, count, sessions=number, concurrency=1000 // number)

    return run


def pending(number: int) -> Round:
    """The first messages of a queue of so many."""

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        contest.filled(contestant, number)
        return _drained(contest, contestant, min(count, number))

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
    Workload("growth_sessions", "Sessions", "So many sessions in one process share the messages.", sessions(1), 20_000,
        variants=partial(_growing, sessions, SESSIONS, "sessions")),
    Workload("growth_pending", "Pending messages", "The first 10,000 messages of a queue of so many.", pending(1000), 10_000,
        variants=partial(_growing, pending, PENDING, "pending")),
    Workload("growth_bodies", "Size of a message", "Messages of so many bytes as JSON; with 80 the text in it is one character.", bodies(100), 20_000,
        variants=partial(_growing, bodies, BODIES, "bytes")),
    Workload("growth_trip", "Round trip to the server", "A link that delays every byte, beside its own 0.1 ms or more (`trip ms` is what a PING takes).",
        trips(0), 20_000, variants=partial(_growing, trips, TRIPS_MS, "ms")),
)  # fmt: skip
"""Run only where they are named."""
