"""History: the snapshots of the last minute, and what several say together: rates, percentiles, who held a lease."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from monitor.snapshot import Snapshot
from shared.concurrency.locks.leases.snapshot import Grants, LeaseSnapshot
from shared.concurrency.queues.snapshot import QueueSnapshot
from shared.concurrency.session.histogram import Measured

LENGTH: Final = 60.0
"""Seconds."""
RATES_OVER: Final = 10.0
"""Rates are means of so many seconds."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Of a queue, per second, as the mean of the last ten seconds."""

    put: float
    acked: float
    nacked: float
    dead: float
    waited: float
    """Seconds that puts waited for room: the mean number of them."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A lease at one moment of the last minute."""

    at: float
    """Seconds since the epoch, by the server's clock."""
    readers: tuple[str, ...]
    """The owners of those who read, each once."""
    others: tuple[str, ...]
    """Of those who write, or have a permit."""
    waiters: tuple[str, ...]
    """Of those who wait."""
    grants: Grants
    """Those since the slice before: a hold may have come and gone in between."""
    lost: tuple[str, ...]
    """Owners whose hold ran out since then: it was not renewed in time."""


class History:
    """Keeps what it is given for a minute."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._snapshots: deque[Snapshot] = deque()
        self._queues: deque[dict[str, QueueSnapshot]] = deque()
        """The queues of each snapshot, by name: each is asked for each, every second."""

    def add(self, snapshot: Snapshot) -> None:
        """Add the newest; what is older than a minute goes. After a restart of the server nothing before counts."""
        if self._snapshots and self._snapshots[-1].server.run_id != snapshot.server.run_id:
            self._snapshots.clear()
            self._queues.clear()
        self._snapshots.append(snapshot)
        self._queues.append({each.name: each for each in snapshot.queues})
        while snapshot.at - self._snapshots[0].at > LENGTH:
            self._snapshots.popleft()
            self._queues.popleft()

    @property
    def latest(self) -> Snapshot | None:
        """The one that was added last."""
        return self._snapshots[-1] if self._snapshots else None

    def rates(self, name: str) -> Rates | None:
        """The rates of a queue; None before there are two snapshots of it, or where its counters began anew."""
        found = self._of_queue(name, RATES_OVER)
        if len(found) < 2:
            return None
        (began, first), (ended, last) = found[0], found[-1]
        seconds = ended - began
        counted = [
            getattr(last.counts, word) - getattr(first.counts, word)
            for word in ("put_total", "acked_total", "nacked_total", "dead_total")
        ]
        if seconds <= 0 or min(counted) < 0:
            return None
        waiting = [queue.counts.puts_waiting for _, queue in found]
        put, acked, nacked, dead = (count / seconds for count in counted)
        return Rates(put, acked, nacked, dead, sum(waiting) / len(waiting))

    def measured(self, name: str, what: str) -> Measured:
        """What the consumers of a queue measured within the last minute: `waiting` or `handling`.

        Of a consumer that was not there before it is all since it began.
        """
        found, total = self._of_queue(name, LENGTH), Measured()
        if not found:
            return total
        before = _loads(found[0][1], what) if len(found) > 1 else {}
        for owner, now in _loads(found[-1][1], what).items():
            total += now.since(before[owner]) if owner in before else now
        return total

    def slices(self, name: str) -> list[Slice]:
        """Who held a lease, and who waited for it, at each moment of the last minute; the last is now."""
        slices: list[Slice] = []
        before: tuple[float, LeaseSnapshot] | None = None
        longest: dict[str, float] = {}
        for snapshot in self._snapshots:
            lease = snapshot.lease(name)
            if lease is None:
                before = None
                continue
            slices.append(_slice(snapshot.at, lease, before, longest))
            for each in lease.holders:
                longest[each.owner] = max(each.seconds_left, longest.get(each.owner, 0.0))
            before = snapshot.at, lease
        return slices

    def _of_queue(self, name: str, seconds: float) -> list[tuple[float, QueueSnapshot]]:
        """Snapshots of a queue so far back, with their times, since it is there without a gap."""
        found: list[tuple[float, QueueSnapshot]] = []
        for snapshot, queues in zip(reversed(self._snapshots), reversed(self._queues), strict=True):
            queue = queues.get(name)
            if queue is None or self._snapshots[-1].at - snapshot.at > seconds:
                break
            found.append((snapshot.at, queue))
        return found[::-1]


def _loads(queue: QueueSnapshot, what: str) -> dict[str, Measured]:
    return {each.owner: getattr(each.load, what) for each in queue.sessions if each.load is not None}


def _slice(
    at: float, lease: LeaseSnapshot, before: tuple[float, LeaseSnapshot] | None, longest: dict[str, float]
) -> Slice:
    """`longest`: of each owner the most seconds that a hold of its had left, which is about its time to live."""
    grants, lost = Grants(0, 0, 0), set[str]()
    if before is not None:
        then, old = before
        grants = lease.grants.since(old.grants)
        there = {each.hold for each in lease.holders}
        gone = [each for each in old.holders if each.hold not in there and each.seconds_left <= at - then]
        # With a time to live as short as our own steps one that was released is gone like one that was lost. Holds are
        # renewed three times in it: one that had less than half of it left had missed that.
        lost = {each.owner for each in gone if each.seconds_left < longest[each.owner] / 2}
    return Slice(
        at,
        tuple(sorted({each.owner for each in lease.holders if each.mode == "read"})),
        tuple(sorted({each.owner for each in lease.holders if each.mode != "read"})),
        tuple(dict.fromkeys(each.owner for each in lease.waiters)),
        grants,
        tuple(sorted(lost)),
    )
