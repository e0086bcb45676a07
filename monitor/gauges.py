"""QueueGauges: the state of queues for Prometheus. The monitor alone serves them; services say what they did."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor.snapshot import Snapshot
from shared.concurrency.queues.snapshot import QueueSnapshot

_GAUGES: Final[dict[str, tuple[str, Callable[[QueueSnapshot], float | None]]]] = {
    "pending": ("Messages that were never delivered yet.", lambda queue: queue.counts.pending),
    "leased": ("Messages in consumers' hands.", lambda queue: queue.counts.leased),
    "delayed": ("Messages that wait for their next attempt.", lambda queue: queue.counts.delayed),
    "dead": ("Dead letters that are kept.", lambda queue: queue.counts.dead),
    "puts_waiting": ("Puts that wait for room.", lambda queue: queue.counts.puts_waiting),
    "at_limits": ("Messages that stand at the gate of a limit.", lambda queue: queue.counts.at_limits),
    "shares": ("Shares that have something waiting.", lambda queue: queue.shares.count),
    # No label names a share: nobody knows how many there are. The page and `queue shares` name the largest.
    "largest_share": (
        "Messages and puts of the share that has most waiting; about.",
        lambda queue: sum(each.pending + each.puts_waiting for each in queue.shares.largest[:1]),
    ),
    "largest_share_oldest_seconds": (
        "Age of that share's first message that was never delivered; 0 when there is none, no value where it is unknown.",
        lambda queue: queue.shares.oldest_seconds if queue.shares.count else 0.0,
    ),
    # A sum for those that can read one figure only, as KEDA's trigger `metrics-api` does.
    "demand": (
        "Messages that want a consumer now: pending, waiting to be put, or in a consumer's hands.",
        lambda queue: queue.counts.pending + queue.counts.puts_waiting + queue.counts.leased,
    ),
    "maxsize": ("The bound of pending messages; 0 for none.", lambda queue: queue.counts.maxsize),
    "paused": ("1 while the queue delivers nothing, because somebody paused it.", lambda queue: queue.counts.is_paused),
    "consumers": ("Consumer services that are registered.", lambda queue: len(queue.consumers)),
    "oldest_pending_seconds": (
        "Age of the oldest pending message; 0 when there is none.", lambda queue: queue.counts.oldest_pending_seconds,
    ),
}  # fmt: skip
"""Gauge, without its prefix -> help, and where it stands."""


class QueueGauges(Collector):
    """Reads the last snapshot at each scrape; asks the server nothing."""

    def __init__(self, last: Callable[[], Snapshot | None]) -> None:
        """`last`: the last snapshot; None while there is none, or the server does not answer: no old figures then."""
        self._last: Final = last

    def describe(self) -> Iterable[Metric]:
        """Return nothing: a registry need not look for names that are there twice."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return a gauge for each figure, with a value for each queue of which it is known."""
        snapshot = self._last()
        for name, (text, read) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"weir_queue_{name}", text, labels=["queue"])
            for queue in () if snapshot is None else snapshot.queues:
                if (value := read(queue)) is not None:
                    gauge.add_metric([queue.name], float(value))
            yield gauge
