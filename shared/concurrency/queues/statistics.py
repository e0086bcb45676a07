"""What a queue, and a process at it, look like at one moment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """A queue at one moment, read in one step; all counts are messages."""

    pending: int
    """Never delivered yet; what `qsize` counts and `maxsize` bounds."""
    leased: int
    """In a consumer's hands."""
    delayed: int
    """Waiting for their next attempt, those given back or recovered included."""
    dead: int
    """Dead letters kept now."""
    puts_waiting: int
    """Puts that wait for room."""
    forwards_waiting: int
    """Those of them that were forwarded with an acknowledgement: accepted, and owned by nobody. Where the queues of a
    cycle are all full and have some of them, that cycle stands still until one is resized or drained."""
    oldest_pending_seconds: float
    """Age of the oldest pending message; 0.0 when there is none."""
    put_total: int
    """Admitted since the queue was made; the totals never go down."""
    acked_total: int
    nacked_total: int
    dead_total: int
    """Dead letters ever, those replayed or discarded since included."""
    recovered_total: int
    """Deliveries taken back from dead sessions."""
    maxsize: int
    """The stored bound, 0 for none."""
    max_attempts: int
    """Failures until a message is a dead letter."""
    is_shut_down: bool
    oldest_dead_seconds: float
    """Age of the oldest dead letter that is kept, by the server's clock; 0.0 when there is none."""
    is_paused: bool
    cancelled_total: int
    """Submitted messages whose submitter cancelled them before anybody took them."""
    max_crashes: int | None
    """Crashes until a message is a dead letter; None for never."""
    discarded_total: int
    """Dead letters that were discarded because of the next two; those that `discard` was asked for do not count."""
    max_dead: int | None
    """How many dead letters are kept; None for all."""
    dead_for: float | None
    """For how many seconds each is kept; None for ever."""
    behind_keys: int = 0
    """Messages that stand behind another one of their key; they are pending, but for those that let others pass."""
    replaced_total: int = 0
    """Puts of `put_unique` that replaced what waited under their name; they are no messages of their own."""
    at_limits: int = 0
    """Messages that stand at the gate of a limit; pending, but for those that were delivered before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSession:
    """A session at one moment."""

    owner: str
    """Which process: its `Session.owner`."""
    pid: int
    """The id of the process at its host; 0 for a client that did not say."""
    host: str
    """The name of that host; empty for a client that did not say."""
    held: int
    """Deliveries in its hands."""
    seconds_left: float
    """Until it is over if it is not renewed; 0.0 when it is over and what it holds is not recovered yet."""
    is_consumer: bool
    """Whether it is a consumer service, which `drain` reaches."""
    is_draining: bool
    """Whether it was asked to drain."""


def read_statistics(reply: list[int]) -> QueueStatistics:
    """Read what the server counted."""
    pending, leased, delayed, dead, puts_waiting, forwards, oldest, *rest = reply
    put, acked, nacked, dead_total, recovered, maxsize, max_attempts, shut, oldest_dead, paused, *rest = rest
    cancelled, max_crashes, discarded, max_dead, dead_for, behind_keys, replaced, at_limits = rest
    return QueueStatistics(
        pending, leased, delayed, dead, puts_waiting, forwards, oldest / 1e6,
        put, acked, nacked, dead_total, recovered, maxsize, max_attempts, bool(shut), oldest_dead / 1e3,
        bool(paused), cancelled, max_crashes or None,
        discarded, max_dead or None, dead_for / 1e3 or None, behind_keys, replaced, at_limits,
    )  # fmt: skip
