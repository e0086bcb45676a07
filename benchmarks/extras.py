"""Extras: what it costs that a message asks for more than to be handled, and what the start of a process costs."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from benchmarks.contest import Contest
from benchmarks.contestants import Contestant
from benchmarks.report import BARE, IMPORTS
from benchmarks.workloads import Entry, Measured, Round, Workload

SERVICE: Final = "benchmarks.service"
_MANY: Final = 20


def drain_extra(*, put: dict[str, Any] | None = None, work: dict[str, Any] | None = None) -> Round:
    """One worker process empties a queue; `put`, `work`: options of the adapter's `open` and `work`."""

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        contest.filled(contestant, count, **(put or {}))
        server = contest.server_cpu()
        with contest.running(contestant, "work", count, **(work or {})) as worker:
            worker.report()
            done = worker.report()
            server = contest.server_cpu() - server
        per_10000 = 10_000 / count
        return {
            "per_second": (count - 1) / done["seconds"],
            "worker_cpu_per_10000": done["work_cpu"] * per_10000,
            "server_cpu_per_10000": server * per_10000,
        }

    return run


def start(contest: Contest, contestant: Contestant, count: int) -> Measured:
    """A message waits: from the start of a worker's process until its handler has begun, `count` times in turn."""
    return _median_of(count, partial(_start_once, contest, contestant, "benchmarks.child", "work"))


def start_service(contest: Contest, contestant: Contestant, count: int) -> Measured:
    """The same for `python -m consumer`, as whoever deploys it starts it."""
    putter = Contestant("ours", "benchmarks.first", contestant.python, "", is_peer=False, root=contestant.root)
    return _median_of(count, partial(_start_once, contest, contestant, SERVICE, "consume", putter=putter))


def start_imports(contest: Contest, contestant: Contestant, count: int) -> Measured:
    """From the start of a process until it has imported the libraries that a service depends on."""

    def once() -> float:
        begun = time.perf_counter()
        with contest.running(contestant, "import", 1, module=SERVICE) as process:
            process.report()
            return time.perf_counter() - begun

    return _median_of(count, once)


def _start_once(
    contest: Contest, contestant: Contestant, module: str, action: str, putter: Contestant | None = None
) -> float:
    contest.filled(putter or contestant, 1)
    begun = time.perf_counter()
    with contest.running(contestant, action, 1, module=module) as worker:
        if module != SERVICE:
            worker.report()
        worker.report()
        return time.perf_counter() - begun


def _median_of(count: int, once: Callable[[], float]) -> Measured:
    waits = sorted(once() for _ in range(count))
    return {"p50_ms": waits[count // 2] * 1000, "best_ms": waits[0] * 1000}


def _ours(contestants: list[Contestant]) -> list[Contestant]:
    return [one for one in contestants if one.adapter == "benchmarks.ours"]


def _variants(ways: dict[str, Round], contestants: list[Contestant], count: int) -> list[Entry]:
    return [Entry(one, count, way, run) for way, run in ways.items() for one in _ours(contestants)]


def _effects(contestants: list[Contestant], count: int) -> list[Entry]:
    ways = {
        "without effects": drain_extra(),
        "one hincrby": drain_extra(work={"effects": 1}),
        f"{_MANY} fields of a hash": drain_extra(work={"effects": _MANY}),
    }
    return _variants(ways, contestants, count)


def _keyed(contestants: list[Contestant], count: int) -> list[Entry]:
    ways = {"without keys": drain_extra()}
    ways |= {f"{keys:,} keys": drain_extra(put={"keys": keys}) for keys in (10_000, 1000, 100)}
    return _variants(ways, contestants, count)


def _ordered(contestants: list[Contestant], count: int) -> list[Entry]:
    ways = {
        "without": drain_extra(),
        "three priorities": drain_extra(put={"priorities": 3}),
        "100 shares": drain_extra(put={"shares": 100}),
        "1,000 limits, never reached": drain_extra(put={"limits": 1000, "at_once": 1000}),
        "1,000 limits of 2 at once": drain_extra(put={"limits": 1000, "at_once": 2}),
    }
    return _variants(ways, contestants, count)


def quiet(*, put: dict[str, Any] | None = None, work: dict[str, Any] | None = None) -> Round:
    """A flood is in the queue, then one message of somebody else: as which it is handled by one worker; 1 is the first.

    `put`: options of the adapter's `open`, which say how that one is put; `work`: of its `work`.
    """

    def run(contest: Contest, contestant: Contestant, count: int) -> Measured:
        contest.filled(contestant, count, **(put or {}))
        with contest.running(contestant, "work", count, **(work or {})) as worker:
            worker.report()
            done = worker.report()
        return {"place": done["ahead"] + 1, "per_second": (count - 1) / done["seconds"]}

    return run


_PRIORITY: Final = {"quiet": "priority"}
HAVE_PRIORITIES: Final[dict[str, dict[str, Any]]] = {
    "ardiq": _PRIORITY, "bullmq": {}, "celery": {}, "dramatiq": {}, "huey": _PRIORITY, "rq": _PRIORITY, "streaq": _PRIORITY,
}  # fmt: skip
"""Peers that have them on Redis -> what their workers must be told."""


def _quiet(contestants: list[Contestant], count: int) -> list[Entry]:
    ways = {
        "as any other": quiet(),
        "of its own share": quiet(put={"quiet": "share"}),
        "of high priority": quiet(put=_PRIORITY),
    }
    entries = _variants(ways, contestants, count)
    for one in contestants:
        if one.name in HAVE_PRIORITIES:
            told = quiet(put=_PRIORITY, work=HAVE_PRIORITIES[one.name])
            entries.append(Entry(one, count, "of high priority", told))
        elif one.is_peer:
            entries.append(Entry(one, count, "as any other", ways["as any other"]))
    return entries


def _starts(contestants: list[Contestant], count: int) -> list[Entry]:
    """The services of all but the bare list, which has none; the imports in the Python of this checkout."""
    entries = [
        Entry(one, count, "", start_service if one.adapter == "benchmarks.ours" else start)
        for one in contestants
        if one.name != BARE
    ]
    first = _ours(contestants)[:1]
    imports = [Contestant(IMPORTS, SERVICE, one.python, "", is_peer=False, root=one.root) for one in first]
    return [*entries, *(Entry(one, count, "", start_imports) for one in imports)]


EXTRAS: Final = (
    Workload("effects", "Drain with effects", "Each acknowledgement adds to a hash, in the same step: beside the plain drain.", drain_extra(), 40_000,
        variants=_effects),
    Workload("keyed", "Drain in the order of keys", "At most one message of a key is in hand: beside the same drain without keys.", drain_extra(), 20_000,
        variants=_keyed),
    Workload("ordered", "Drain by priority, share and limit", "The messages go over so many of each in turn: beside the same drain without any.", drain_extra(), 20_000, variants=_ordered),
    Workload("quiet", "Behind a flood", "One message is put behind 1,999 of a flood, and one worker is started: as which it is handled. Peers without "
        "priorities have it in line.", quiet(), 2_000, ("place", "as which it is handled", "less"), variants=_quiet,
        baseline="as any other"),
    Workload("start", "Start of a service", "A message waits: from the start of the process until its handler begins. Ours is `python -m consumer`, a peer its "
        "worker; beside a process that only imports the libraries that ours depends on.", start, 5, ("p50_ms", "ms", "less"), variants=_starts),
)  # fmt: skip
"""Those that only few queues can do, or that are no stream of messages."""
