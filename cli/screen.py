"""Screen: the tables of `status` and `top`, made of snapshots; they fit 80 columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from monitor.history import History
from shared.concurrency.locks.leases.snapshot import LeaseSnapshot
from shared.concurrency.queues.snapshot import QueueSnapshot, SessionSnapshot
from shared.escapes import escaped

_NARROWEST: Final = 6
_STEPS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Section:
    """One table: the first column and those of `left` are text, the others numbers."""

    headings: tuple[str, ...]
    left: frozenset[str]
    rows: tuple[tuple[str, ...], ...]


def short(number: float) -> str:
    """A number in five characters at most: 9999, 12.3k, 1.5M."""
    for step, letter in _STEPS:
        if number >= 10 * step or (step > 1e3 and number >= step):
            scaled = number / step
            return f"{scaled:.0f}{letter}" if scaled >= 100 else f"{scaled:.1f}{letter}"
    return f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"


def span(seconds: float | None) -> str:
    """A time in five characters at most: 850us, 12ms, 4.2s, 15m, 3h, 12d; a dash where it is not known."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1e6:.0f}us" if seconds < 0.001 else f"{seconds * 1e3:.0f}ms"
    for limit, size, letter in ((10, 1, ".1"), (120, 1, ".0"), (7200, 60, "m"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds:{letter}f}s" if letter.startswith(".") else f"{seconds / size:.0f}{letter}"
    return f"{seconds / 86_400:.0f}d"


def head_of(history: History) -> str:
    """One line about the server."""
    seen = history.latest
    if seen is None:
        return ""
    server = seen.server
    memory = short(server.memory_bytes) + (f" of {short(server.max_memory_bytes)}" if server.max_memory_bytes else "")
    return (
        f"{server.product} {server.version} ({server.role}), up {span(server.uptime_seconds)}, memory {memory}, "
        f"clients {server.clients}, round trip {span(server.round_trip_seconds)}"
    )


def sections(history: History) -> Iterator[Section]:
    """The tables that have rows: queues, consumers, dead letters, leases, what waits for its time."""
    seen = history.latest
    if seen is None:
        return
    queues = ("queue", "pending", "delayed", "leased", "dead", "wait", "oldest", "put/s", "ack/s", "state")
    yield Section(queues, frozenset({"state"}), tuple(_queue(each, history) for each in seen.queues))
    consumers = ("consumer", "queue", "host", "pid", "held", "p50", "p95", "left", "state")
    rows = tuple(_consumer(queue.name, each) for queue in seen.queues for each in queue.consumers)
    yield Section(consumers, frozenset({"queue", "host", "state"}), rows)
    letters = ("dead letters of", "reason", "class", "count")
    groups = tuple(
        (queue.name, "others" if each.reason is None else each.reason, each.type or "-", str(each.count))
        for queue in seen.queues
        for each in queue.letters[:5]
    )
    yield Section(letters, frozenset({"reason", "class"}), groups)
    leases = ("lease", "kind", "held by", "wait", "token", "last minute")
    shown = tuple(_lease(each, history) for each in seen.leases if each.holder_count or each.waiter_count)
    yield Section(leases, frozenset({"kind", "held by"}), shown)
    clocks = tuple((each.queue, str(each.deferred), str(each.overdue)) for each in seen.clocks)
    yield Section(("clock of", "deferred", "overdue"), frozenset(), clocks)


def _queue(queue: QueueSnapshot, history: History) -> tuple[str, ...]:
    counts, rates = queue.counts, history.rates(queue.name)
    bound = f"/{short(counts.maxsize)}" if counts.maxsize else ""
    return (
        queue.name,
        f"{short(counts.pending)}{bound}",
        short(counts.delayed),
        short(counts.leased),
        short(counts.dead),
        short(counts.puts_waiting),
        span(counts.oldest_pending_seconds) if counts.pending else "-",
        "-" if rates is None else short(rates.put),
        "-" if rates is None else short(rates.acked),
        state_of(queue),
    )


def state_of(queue: QueueSnapshot) -> str:
    """Whether a queue is open, full, paused or shut down."""
    counts = queue.counts
    states = (("paused", counts.is_paused), ("shut", counts.is_shut_down), ("full", counts.puts_waiting > 0))
    return ",".join(word for word, is_so in states if is_so) or "open"


def _consumer(queue: str, session: SessionSnapshot) -> tuple[str, ...]:
    load = session.load
    held = str(session.held) if load is None else f"{session.held}/{load.concurrency}"
    handling = None if load is None else load.handling
    silent = session.seconds_left <= 0
    return (
        session.owner, queue, session.host or "-", str(session.pid or "-"), held,
        *(span(None if handling is None else handling.quantile(share)) for share in (0.5, 0.95)),
        span(session.seconds_left), "silent" if silent else "drains" if session.is_draining else "works",
    )  # fmt: skip


def _lease(lease: LeaseSnapshot, history: History) -> tuple[str, ...]:
    kind = f"{lease.kind} of {lease.limit}" if lease.limit else lease.kind
    first = lease.holders[0] if lease.holders else None
    who = "-" if first is None else f"{first.pid or first.owner} {first.mode}"
    more = f" +{lease.holder_count - 1}" if lease.holder_count > 1 else ""
    grants = sum(each.grants.read + each.grants.write + each.grants.permit for each in history.slices(lease.name))
    return lease.name, kind, who + more, short(lease.waiter_count), str(lease.token), short(grants)


def plain(section: Section) -> str:
    """The lines of a table where no terminal is: a line of headings and one for each row."""
    rows: Sequence[tuple[str, ...]] = (section.headings, *section.rows)
    return "".join("  ".join(escaped(cell) for cell in row) + "\n" for row in rows)


def drawn(history: History, width: int) -> Text:
    """All of it for a terminal that is so wide; lines that are longer are cut, names first."""
    lines = [Text(set_cell_size(head_of(history), width).rstrip())]
    for section in sections(history):
        if section.rows:
            lines += [Text(""), *_fitted(section, width)]
    return Text("\n").join(lines)


def _fitted(section: Section, width: int) -> Iterator[Text]:
    rows = [section.headings, *(tuple(map(escaped, row)) for row in section.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    gap = 2 if sum(widths) + 2 * len(widths) <= width else 1
    lefts = [at for at, heading in enumerate(section.headings) if not at or heading in section.left]
    while sum(widths) + gap * (len(widths) - 1) > width:
        widest = max(lefts, key=lambda at: widths[at])
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    for number, row in enumerate(rows):
        cells = (
            _cell(cell, size, is_left=at in lefts) for at, (cell, size) in enumerate(zip(row, widths, strict=True))
        )
        line = set_cell_size((" " * gap).join(cells), width).rstrip()
        yield Text(line, style="" if number else "bold")


def _cell(text: str, width: int, *, is_left: bool) -> str:
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - cell_len(text))
    return text + padding if is_left else padding + text
