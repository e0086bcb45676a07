"""ServiceCollector: what one process of a service has counted and measured, as Prometheus reads it."""

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.concurrency import Queue, Session
from shared.concurrency.queues.service import BOUNDS, Histogram, load_of
from shared.concurrency.session.session import process_of
from shared.version import VERSION

_OF_QUEUES: Final = {
    "messages_put": "Messages that this process put into the queue.",
    "deliveries_acked": "Deliveries that this process acknowledged.",
    "deliveries_nacked": "Deliveries that failed or wait, by this process; the last failure of a dead letter too.",
    "deliveries_recovered": "Deliveries of dead sessions that this process gave back to the queue.",
    "sessions_lost": "Sessions of this process at the queue that passed their deadline.",
    "queues_forgotten": "How often the server had forgotten the queue, and what was in it.",
    "stale_deliveries": "Settlements of this process that came too late: others had the message.",
}
"""Counter, without its prefix -> help."""

_REASONS: Final = frozenset(
    {
        "crashed",
        "failed",
        "invalid",
        "invalid_result",
        "shutdown",
        "too_large",
        "too_new",
        "undecodable",
        "unknown_type",
    }
)
"""Why messages become dead letters. A handler may write any text: those are one series."""

_MODES: Final = {"r": "read", "w": "write", "p": "permit"}


class ServiceCollector(Collector):
    """Reads what the process counts anyhow, at each scrape; nothing is written for Prometheus meanwhile."""

    def __init__(self, session: Session, queues: Sequence[Queue[Any]]) -> None:
        """`queues`: those whose counters are there from the beginning, with 0."""
        self._process: Final = process_of(session)
        self._queues: Final = queues

    def describe(self) -> Iterable[Metric]:
        """Return nothing: a registry need not look for names that are there twice."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return all of it; in the thread of whoever asks."""
        yield from self._counters()
        yield from self._histograms()
        up = int(self._process.calls.is_open)
        yield GaugeMetricFamily("weir_connection_up", "1 while the connection to the server can be used.", value=up)
        info = GaugeMetricFamily("weir_build_info", "1; what runs.", labels=["version", "python"])
        info.add_metric([VERSION, platform.python_version()], 1)
        yield info

    def _counters(self) -> Iterator[Metric]:
        counts = self._process.tally.counts.copy()
        for what, text in _OF_QUEUES.items():
            counter = CounterMetricFamily(f"weir_{what}", text, labels=["queue"])
            of_queues = {each.full_name: 0 for each in self._queues} | {
                name: n for (each, name), n in counts.items() if each == what
            }
            for name, count in sorted(of_queues.items()):
                counter.add_metric([name], count)
            yield counter
        yield self._dead_letters(counts)
        reconnects = max(0, counts.get(("connections", ""), 0) - 1)
        yield CounterMetricFamily("weir_reconnects", "Connections to the server after the first.", value=reconnects)
        lost = CounterMetricFamily("weir_lease_lost", "Leases of this process that were lost.", labels=["mode"])
        for letter, mode in _MODES.items():
            lost.add_metric([mode], counts.get(("lease_lost", letter), 0))
        yield lost

    def _dead_letters(self, counts: Mapping[tuple[str, str], int]) -> Metric:
        # With 0 from the beginning: an increase from nothing to 1 is none to Prometheus.
        by_reason = {(each.full_name, reason): 0 for each in self._queues for reason in (*_REASONS, "rejected")}
        for (what, about), count in counts.items():
            if what == "dead_letters":
                queue, _, reason = about.partition(" ")
                key = queue, reason if reason in _REASONS else "rejected"
                by_reason[key] = by_reason.get(key, 0) + count
        text = (
            "Messages that became dead letters, as this process was told of each; rejected: for a handler's own reason."
        )
        counter = CounterMetricFamily("weir_dead_letters", text, labels=["queue", "reason"])
        for (queue, reason), count in sorted(by_reason.items()):
            counter.add_metric([queue, reason], count)
        return counter

    def _histograms(self) -> Iterator[Metric]:
        tally = self._process.tally
        puts = HistogramMetricFamily(
            "weir_put_wait_seconds",
            "From a put, or a portion of put_many, until it was in the queue.",
            labels=["queue"],
        )
        for name, waits in sorted((tally.put_waits or {}).copy().items()):
            _add(puts, name, waits)
        yield puts
        leases = HistogramMetricFamily(
            "weir_lease_wait_seconds", "From asking the server for a lease until it was granted.", labels=["mode"]
        )
        for letter, waits in sorted((tally.lease_waits or {}).copy().items()):
            _add(leases, _MODES[letter], waits)
        yield leases
        starts = HistogramMetricFamily(
            "weir_start_latency_seconds", "From a put to the first delivery, by the server's clock.", labels=["queue"]
        )
        handlers = HistogramMetricFamily(
            "weir_handler_duration_seconds",
            "From the start of a handler to its end; of a batch for each.",
            labels=["queue"],
        )
        for queue in self._queues:
            if (load := load_of(queue)) is not None:
                _add(starts, queue.full_name, load.waiting)
                _add(handlers, queue.full_name, load.handling)
        yield starts
        yield handlers


def _add(family: HistogramMetricFamily, label: str, measured: Histogram) -> None:
    *counts, longer = accumulate(measured.counts.copy())
    buckets = [(str(bound), float(count)) for bound, count in zip(BOUNDS, counts, strict=True)]
    family.add_metric([label], [*buckets, ("+Inf", float(longer))], measured.seconds)
