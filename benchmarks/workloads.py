"""The workloads: what one round of each does, and what is measured."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from benchmarks.contest import Contest, resident_mb
from benchmarks.contestants import Contestant, scripts, slots
from benchmarks.replica import replica
from benchmarks.report import BARE

Measured = dict[str, float]
Round = Callable[[Contest, Contestant, int], Measured]

_PER_SECOND: Final = ("per_second", "messages a second", "more")
_BOUND: Final = 100
_IO_SECONDS: Final = 0.005
_QUIET: Final = 2.0


@dataclass(frozen=True)
class Entry:
    """A contestant in a workload, or a variant of one: "ours, 2 workers"."""

    contestant: Contestant
    count: int
    variant: str = ""
    run: Round | None = None

    @property
    def name(self) -> str:
        """Its name in the result."""
        return f"{self.contestant.name}, {self.variant}" if self.variant else self.contestant.name


@dataclass(frozen=True)
class Workload:
    """What one round does, and which figure counts."""

    name: str
    title: str
    note: str
    run: Round
    count: int
    """Messages in a round, for a contestant as fast as the bare list; a slower one has what it handles in a second."""
    figure: tuple[str, str, str] = _PER_SECOND
    peers: bool = True
    variants: Callable[[list[Contestant], int], list[Entry]] | None = None
    also: tuple[tuple[str, str], ...] = ()
    """Further figures that have a verdict in the report, and whether more or less of each is better."""
    baseline: str = ""
    """The variant of ours that the others are compared with."""

    def entries(self, contestants: list[Contestant], rates: dict[str, float]) -> list[Entry]:
        """Return the participants and their numbers of messages; `rates`: messages a second in a pilot of each."""
        if self.variants is not None:
            return self.variants(contestants, self.count)
        return [
            Entry(one, int(min(self.count, max(100, rates.get(one.name, self.count)))))
            for one in contestants
            if self.peers or not one.is_peer
        ]


def drain(size: int = 100) -> Round:
    """One worker process empties a queue: from the first handler to the last."""

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        contest.filled(contestant, count, size)
        server = contest.server_cpu()
        with contest.running(contestant, "work", count, size) as worker:
            worker.report()
            done = worker.report()
            server = contest.server_cpu() - server
        per_10000 = 10_000 / count
        return {
            "per_second": (count - 1) / done["seconds"],
            "worker_cpu_per_10000": done["work_cpu"] * per_10000,
            "server_cpu_per_10000": server * per_10000,
            "peak_mb": done["peak_kb"] / 1024,
        }

    return run


def calls(contest: Contest, contestant: Contestant, count: int) -> float:
    """Return how many commands a worker sends for each message of a full queue."""
    contest.filled(contestant, count)
    with contest.counting() as counted, contest.running(contestant, "work", count) as worker:
        worker.report()
        worker.report()
    return counted[0] / count


def put(action: str) -> Round:
    """One process puts."""

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        contest.empty()
        return {"per_second": count / contest.puts(contestant, action, count)["seconds"]}

    return run


def latency(contest: Contest, contestant: Contestant, count: int) -> Measured:
    """A message now and then: milliseconds from before the put to the beginning of the handler."""
    contest.empty()
    with contest.running(contestant, "work", count) as worker:
        worker.report()
        contest.puts(contestant, "pace", count)
        return _percentiles(worker.report()["waits"])


def _percentiles(waits: list[float]) -> Measured:
    waits, count = sorted(waits), len(waits)
    return {f"p{part}_ms": waits[min(count - 1, count * part // 100)] * 1000 for part in (50, 95, 99)}


def submit(contest: Contest, contestant: Contestant, count: int) -> Measured:
    """Results: milliseconds from before the put until the result arrives, one by one; results a second, 100 at once."""
    contest.empty()
    with contest.running(contestant, "work", count, results=True) as worker:
        worker.report()
        measured = contest.puts(contestant, "ask", count, results=True)
    return {**_percentiles(measured["waits"]), "per_second": count / measured["seconds"]}


def together(contest: Contest, contestant: Contestant, count: int) -> Measured:
    """A producer and a consumer at once; ours with a bound of 100 messages, the others without a bound."""
    contest.empty()
    options = {} if contestant.is_peer else {"maxsize": _BOUND}
    with contest.running(contestant, "work", count) as worker:
        worker.report()
        contest.puts(contestant, "many", count, **options)
        done = worker.report()
    return {"per_second": (count - 1) / done["seconds"]}


def shared(workers: int, **options: Any) -> Round:
    """Several worker processes empty one queue."""

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        contest.filled(contestant, count)
        server = contest.server_cpu()
        with ExitStack() as stack:
            children = [
                stack.enter_context(contest.running(contestant, "share", count, **options)) for _ in range(workers)
            ]
            for child in children:
                child.report()
            reports = [one for one in [child.report() for child in children] if one["seen"]]
        seconds = max(one["last"] for one in reports) - min(one["first"] for one in reports)
        return {
            "per_second": sum(one["seen"] for one in reports) / seconds,
            "server_busy": (contest.server_cpu() - server) / seconds,
        }

    return run


def after(pending: int) -> Round:
    """The first messages of a long queue."""

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        contest.empty()
        empty = contest.server_memory()
        contest.puts(contestant, "many", pending)
        held = contest.server_memory() - empty
        with contest.running(contestant, "work", count) as worker:
            worker.report()
            done = worker.report()
        return {"per_second": (count - 1) / done["seconds"], "server_mb": held}

    return run


def put_to_replicas(action: str, replicas: int) -> Round:
    """One process puts beside a replica, and waits until so many replicas have it."""

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        contest.empty()
        with replica(contest.client):
            return {"per_second": count / contest.puts(contestant, action, count, replicas=replicas)["seconds"]}

    return run


def drain_to_replicas(replicas: int) -> Round:
    """One worker process empties a queue beside a replica; its settles wait until so many replicas have them."""

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        contest.filled(contestant, count)
        with replica(contest.client), contest.running(contestant, "work", count, replicas=replicas) as worker:
            worker.report()
            done = worker.report()
        return {"per_second": (count - 1) / done["seconds"]}

    return run


def waiting_handlers(contest: Contest, contestant: Contestant, count: int) -> Measured:
    """Handlers that wait for 5 ms, 100 at once."""
    contest.filled(contestant, count)
    with contest.running(contestant, "work", count, seconds=_IO_SECONDS) as worker:
        worker.report()
        done = worker.report()
    return {"per_second": (count - 1) / done["seconds"]}


def idle(contest: Contest, contestant: Contestant, count: int) -> Measured:
    """A worker that waits for work."""
    contest.empty()
    with contest.running(contestant, "work", count) as worker:
        worker.report()
        contest.puts(contestant, "many", count)
        worker.report()
        time.sleep(_QUIET)
        return {"mb": resident_mb(worker.pid)}


def _ours(contestants: list[Contestant]) -> list[Contestant]:
    return [one for one in contestants if one.adapter == "benchmarks.ours"]


def _workers(contestants: list[Contestant], count: int) -> list[Entry]:
    own = [one for one in contestants if not one.is_peer]
    return [Entry(one, count, f"{n} worker{'s' * (n > 1)}", shared(n)) for n in (1, 2, 4) for one in own]


def _sessions(contestants: list[Contestant], count: int) -> list[Entry]:
    return [
        Entry(one, count, f"{n} session{'s' * (n > 1)}", shared(1, sessions=n))
        for n in (1, 10, 50, 200)
        for one in _ours(contestants)
    ]


def _pending(contestants: list[Contestant], count: int) -> list[Entry]:
    return [
        Entry(one, count, f"{n:,} pending", after(n)) for n in (1000, 100_000, 1_000_000) for one in _ours(contestants)
    ]


def _replicas(contestants: list[Contestant], count: int) -> list[Entry]:
    ways: list[tuple[str, int, Callable[[int], Round]]] = [
        ("one after the other", count // 20, partial(put_to_replicas, "one")),
        ("100 in flight", count // 3, partial(put_to_replicas, "inflight")),
        ("put_many", count, partial(put_to_replicas, "many")),
        ("drain", count, drain_to_replicas),
    ]
    return [
        Entry(one, messages, f"{way}, replicas={replicas}", run(replicas))
        for way, messages, run in ways
        for replicas in (0, 1)
        for one in _ours(contestants)
    ]


def _slots(contestants: list[Contestant], count: int) -> list[Entry]:
    return [Entry(one, count) for one in (*_ours(contestants), slots())]


def _one_by_one(contestants: list[Contestant], count: int) -> list[Entry]:
    limits = [scripts() for one in contestants if one.name == BARE]
    return [Entry(one, count if not one.is_peer else 1000) for one in (*contestants, *limits)]


def _asking(contestants: list[Contestant], count: int) -> list[Entry]:
    return [Entry(one, count if not one.is_peer else 1000) for one in contestants]


def _bounded(contestants: list[Contestant], count: int) -> list[Entry]:
    return [Entry(one, count if not one.is_peer else 2000) for one in contestants if one.name != BARE]


_SMALL: Final = "No-op `async def` handlers with a pydantic message of 100 bytes"

WORKLOADS: Final = (
    Workload("drain", "Drain, one worker process", f"{_SMALL}, concurrency 100; from the first handler to the last.", drain(), 60_000),
    Workload("drain_1k", "Drain, messages of 1 KB", "As above, with messages of 1 KB.", drain(1000), 40_000),
    Workload("drain_10k", "Drain, messages of 10 KB", "As above, with messages of 10 KB.", drain(10_000), 8000),
    Workload("put_many", "Bulk put", "One process, with the bulk call where there is one.", put("many"), 60_000),
    Workload("inflight", "Put, 100 in flight", "100 coroutines of one process put one after the other.", put("inflight"), 20_000),
    Workload("one", "Put, one after the other", "One coroutine: each put waits for the answer. `bare scripts` sends the script of our put through our connection, and "
        "does nothing else.", put("one"), 3000, variants=_one_by_one),
    Workload("latency", "Start latency at low load", "A message every 5 ms; from before the put to the beginning of the handler.", latency, 400,
        ("p50_ms", "ms", "less"), also=(("p99_ms", "less"),)),
    Workload("submit", "Results, one after the other", "From before the put until the result of a no-op handler is there; and results a second "
        "with 100 in flight. The bare list's replies are a second list. repid is left out: it keeps no results.", submit, 10_000, ("p50_ms", "ms", "less"), variants=_asking,
        also=(("per_second", "more"),)),
    Workload("together", "Producer and consumer together", "Ours through a queue of maxsize 100, so that put waits again and again; the peers without any bound.",
        together, 40_000, variants=_bounded),
    Workload("workers", "Worker processes", f"{_SMALL}. `server busy` is the share of one core that the server used.", shared(1), 100_000, variants=_workers),
    Workload("sessions", "Sessions", "So many workers with a session each, in one process.", shared(1), 60_000, variants=_sessions),
    Workload("pending", "Long queues", "The first 1,000 messages of a queue of so many: the cost does not grow.", after(1000), 1000, variants=_pending),
    Workload("io", "Handlers that wait for 5 ms", "Concurrency 100, beside 100 coroutines that wait without any queue.", waiting_handlers, 20_000, variants=_slots),
    Workload("replicas", "With a replica", "Beside a replica on the same machine: without `replicas`, and with 1, where each put and each settle is answered for "
        "once the replica has it.", put_to_replicas("one", 1), 60_000, peers=False, variants=_replicas),
    Workload("idle", "Memory of a worker that waits", "Resident memory of the process.", idle, 100, ("mb", "MB", "less")),
)  # fmt: skip
"""All of them, in the order in which they run."""
