"""View: what the page shows of one queue and one lease, made of the last minute, as JSON."""

from typing import Any, Final

from monitor.feed import SHARES, Feed, Point
from monitor.page.lanes import lanes_of
from monitor.processes import Processes
from monitor.snapshot import Snapshot
from shared.concurrency.queues.shares import QueueShare
from shared.concurrency.queues.snapshot import QueueSnapshot, SessionSnapshot
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.histogram import Measured

MOST_CONSUMERS: Final = 100
"""So many consumers of a queue are listed; all of them are counted."""

Json = dict[str, Any]


def view(feed: Feed, queue: str | None = None, lease: str | None = None) -> Json:
    """Everything that the page shows at one moment; without a queue or a lease of that name, of the first one."""
    seen, trouble, now = feed.latest, feed.trouble, boottime()
    found: Json = {
        "trouble": None if trouble is None else {"text": trouble.text, "seconds": round(now - trouble.since, 1)},
        "age": None if feed.seen_at is None else round(now - feed.seen_at, 1),
    }
    if seen is None:
        return found
    chosen = seen.queue(queue or "") or next(iter(seen.queues), None)
    return {
        **found,
        "at": seen.at,
        "server": seen.server.model_dump(),
        "problems": [each.model_dump() for each in seen.problems],
        "queues": [_listed(each) for each in seen.queues],
        "queue": None if chosen is None else _queue(feed, seen, chosen),
        "leases": [each.name for each in seen.leases],
        "leases_left_out": seen.leases_left_out,
        "lease": _lease(feed, seen, lease),
    }


def _listed(queue: QueueSnapshot) -> Json:
    counts = queue.counts
    return {
        "name": queue.name,
        "pending": counts.pending,
        "delayed": counts.delayed,
        "maxsize": counts.maxsize,
        "waiting": counts.puts_waiting,
        "dead": counts.dead,
        "paused": counts.is_paused,
        "shut": counts.is_shut_down,
    }


def _queue(feed: Feed, seen: Snapshot, queue: QueueSnapshot) -> Json:
    counts, points = queue.counts, feed.points(queue.name)
    rates = points[-1].rates if points else None
    consumers = queue.consumers
    clock = next((each for each in seen.clocks if each.queue == queue.name), None)
    return {
        **_listed(queue),
        "leased": counts.leased,
        "at_limits": counts.at_limits,
        "oldest": counts.oldest_pending_seconds,
        "oldest_dead": counts.oldest_dead_seconds,
        "rates": None if rates is None else {word: getattr(rates, word) for word in rates.__slots__},
        "waits": _quantiles(feed.history.measured(queue.name, "waiting")),
        "handling": _quantiles(feed.history.measured(queue.name, "handling")),
        "points": [_point(each) for each in points],
        "consumers": [_consumer(each, points, feed.names, seen.at) for each in consumers[:MOST_CONSUMERS]],
        "consumer_count": len(consumers),
        "silent": sum(each.seconds_left <= 0 for each in consumers),
        "draining": sum(each.is_draining for each in consumers),
        "sessions": queue.session_count,
        "shares": [
            _share(each) for each in sorted(queue.shares.largest, key=lambda each: (each.share or "", each.priority))
        ],
        "share_count": queue.shares.count,
        "shares_are_whole": queue.shares.is_whole,
        "letters": [{"reason": each.reason, "type": each.type, "count": each.count} for each in queue.letters],
        "deferred": 0 if clock is None else clock.deferred,
        "overdue": 0 if clock is None else clock.overdue,
    }


def _quantiles(measured: Measured) -> list[float | None]:
    return [measured.quantile(share) for share in SHARES]


def _share(share: QueueShare) -> Json:
    return {
        "share": share.share,
        "priority": share.priority.name.lower(),
        "pending": share.pending,
        "waiting": share.puts_waiting,
        "weight": share.weight,
    }


def _point(point: Point) -> list[float | None]:
    counts, rates = point.queue.counts, point.rates
    flow = (None, None) if rates is None else (round(rates.put, 2), round(rates.acked, 2))
    depth = (counts.pending, counts.delayed, counts.puts_waiting, counts.maxsize)
    return [round(point.at, 3), *depth, *flow, *point.waiting]


def _consumer(session: SessionSnapshot, points: list[Point], names: Processes, at: float) -> Json:
    load = session.load
    return {
        "owner": session.owner,
        "process": names.called(session.owner),
        "since": None if session.since is None else max(0.0, at - session.since),
        "left": session.seconds_left,
        "held": session.held,
        "concurrency": None if load is None else load.concurrency,
        "draining": session.is_draining,
        **_work(session, points),
    }


def _work(session: SessionSnapshot, points: list[Point]) -> Json:
    """How many deliveries a consumer has done each second of the last minute, and how long they took."""
    if session.load is None:
        return {"done": None, "p50": None, "p95": None}
    for point in points:
        before = next((each for each in point.queue.sessions if each.session == session.session), None)
        if before is not None and before.load is not None:
            seconds = session.load.measured_at - before.load.measured_at
            handled = session.load.handling.since(before.load.handling)
            done = handled.total / seconds if seconds > 0 else None
            return {"done": done, "p50": handled.quantile(0.5), "p95": handled.quantile(0.95)}
    return {"done": None, "p50": None, "p95": None}


def _lease(feed: Feed, seen: Snapshot, name: str | None) -> Json | None:
    lease = seen.lease(name or "")
    if lease is None:
        used = (each for each in seen.leases if each.holder_count or each.waiter_count)
        lease = next(used, None) or next(iter(seen.leases), None)
    if lease is None:
        return None
    slices = feed.history.slices(lease.name)
    return {
        "name": lease.name,
        "kind": lease.kind,
        "limit": lease.limit,
        "token": lease.token,
        "holders": lease.holder_count,
        "waiters": lease.waiter_count,
        "times": [round(each.at, 3) for each in slices],
        "grants": [each.grants.read + each.grants.write + each.grants.permit for each in slices],
        **lanes_of(lease, slices, feed.names),
    }
