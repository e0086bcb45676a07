"""A queue as those see it who only watch: who knows no part in it, and leaves no trace."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.concurrency.queues.membership.keys import leased_key, queue_keys
from shared.concurrency.queues.shares import SharesPart, SharesSnapshot, read_part
from shared.concurrency.queues.statistics import QueueStatistics, read_statistics
from shared.concurrency.session.calls import Call
from shared.concurrency.session.histogram import BOUNDS, Measured
from shared.concurrency.session.scripts import load

MOST_SESSIONS: Final = 1000
"""So many sessions of a queue are listed; all of them are counted."""


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Dead letters of one reason and one class."""

    reason: str | None
    """None: of all groups beyond the first 200."""
    type: str | None
    """The name of the class; None where it did not travel with the message."""
    count: int


@dataclass(frozen=True, slots=True)
class SessionLoad:
    """What a consumer service measured, as its last renewal said; counts since it began."""

    concurrency: int
    """How many deliveries it handles at once."""
    measured_at: float
    """When that renewal was; seconds since the epoch, by the server's clock."""
    waiting: Measured
    """From the put to the first delivery."""
    handling: Measured
    """From the start of a handler to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSnapshot:
    """A session at a queue."""

    owner: str
    """Which process: its `Session.owner`."""
    session: str
    """The id of the session."""
    pid: int
    """The id of the process at its host; 0 for a client that did not say."""
    host: str
    """The name of that host; empty for a client that did not say."""
    since: float | None
    """When the session began; seconds since the epoch, by the server's clock."""
    seconds_left: float
    """Until it is over if it is not renewed; 0.0 when it is over and what it holds is not recovered yet."""
    held: int
    """Deliveries in its hands."""
    is_consumer: bool
    """Whether it is a consumer service, which `drain` reaches."""
    is_draining: bool
    load: SessionLoad | None
    """None where it is no consumer service, or has not renewed yet."""


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """A queue at one moment."""

    name: str
    """GROUP/NAME in a group."""
    counts: QueueStatistics
    letters: tuple[LetterGroup, ...]
    """Dead letters by reason and class, the most first."""
    session_count: int
    sessions: tuple[SessionSnapshot, ...]
    """The first 1000, by owner."""
    shares: SharesSnapshot

    @property
    def consumers(self) -> list[SessionSnapshot]:
        """Those of its sessions that are consumer services."""
        return [each for each in self.sessions if each.is_consumer]

    def total(self, what: str) -> Measured:
        """What all its consumers measured: `waiting` or `handling`."""
        return sum((getattr(each.load, what) for each in self.sessions if each.load is not None), start=Measured())


def queue_call(name: str, cursor: str = "0") -> Call:
    """What reads a queue; its script cannot write. It is right for a queue without a protocol level, too.

    `cursor`: where to go on with its shares.
    """
    return Call(load("queue_snapshot", flow=True), queue_keys(name), (MOST_SESSIONS, cursor))


def shares_part(answer: list[Any]) -> SharesPart | None:
    """What the answer to that says of some of the shares; None where the queue is not there."""
    return read_part(answer[7]) if answer else None


def held_keys(name: str, answer: list[Any]) -> list[bytes]:
    """What the sessions in the answer to that hold: the hashes whose fields are to be counted, a moment later."""
    return [leased_key(name, each.decode()) for each in answer[4][::2]] if answer else []


def read_queue(name: str, answer: list[Any], held: Sequence[int], shares: SharesSnapshot) -> QueueSnapshot | None:
    """Read both answers; None where the queue is not there."""
    if not answer:
        return None
    now, counts, groups, session_count, found, records, received, _ = answer
    sessions = [
        _read_session(each.decode(), float(deadline) - now, records[3 * at : 3 * at + 3], count + bool(entry))
        for at, (each, deadline, count, entry) in enumerate(zip(found[::2], found[1::2], held, received, strict=True))
    ]
    return QueueSnapshot(
        name,
        read_statistics(counts),
        _read_groups(groups),
        session_count,
        tuple(sorted(sessions, key=lambda each: each.owner)),
        shares,
    )


def _read_groups(found: list[bytes]) -> tuple[LetterGroup, ...]:
    groups = []
    for group, count in zip(found[::2], found[1::2], strict=True):
        try:
            reason, class_name = json.loads(group.decode(errors="replace"))
        except (ValueError, TypeError, RecursionError):
            reason = class_name = None
        groups.append(LetterGroup(reason, class_name or None, int(count)))
    return tuple(sorted(groups, key=lambda each: (-each.count, each.reason or "", each.type or "")))


def _read_session(name: str, left: float, records: Sequence[bytes | None], held: int) -> SessionSnapshot:
    consumer, process, said = (each or b"" for each in records)
    _, registered, drains, *_ = f"{consumer.decode(errors='replace')}   ".split(" ", 3)
    since, pid, host, *_ = f"{process.decode(errors='replace')}   ".split(" ", 2)
    is_consumer = registered == name
    return SessionSnapshot(
        owner=name[:12],
        session=name,
        pid=int(pid) if pid.isdigit() else 0,
        host=host.rstrip(),
        since=int(since) / 1000 if since.isdigit() else None,
        seconds_left=max(0.0, left) / 1000,
        held=held,
        is_consumer=is_consumer,
        is_draining=is_consumer and drains.strip() == "drain",
        load=_read_load(said),
    )


def _read_load(said: bytes) -> SessionLoad | None:
    """Read what was measured; None for what another program wrote there, or one that measures otherwise."""
    at, _, text = said.partition(b" ")
    try:
        found = json.loads(text)
        waiting, handling = (
            Measured(tuple(map(int, found[word]["counts"])), float(found[word]["seconds"]))
            for word in ("waiting", "handling")
        )
        measured = SessionLoad(int(found["concurrency"]), int(at) / 1000, waiting, handling)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return measured if len(waiting.counts) == len(handling.counts) == len(BOUNDS) + 1 else None
