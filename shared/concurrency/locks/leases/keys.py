"""The keys of leases, events, conditions, barriers and rate limits, each described once: type, and what it holds."""

from functools import lru_cache
from typing import Final

from shared.concurrency.session.names import KeyDescription, keys_under

_CALLS: Final = "call that may be sent again, for its answer was lost -> when it ran, in ms"

LEASE_KEYS: Final = {
    "record": KeyDescription(
        "lease",
        "HASH",
        "token, kind, phase, longest_ttl, run_id, quiet_until, tickets, resized: how often; granted_r, granted_w, granted_p: "
        "how often to read, to write, as a permit; longest_at: when longest_ttl was used last, clock: when a deadline was "
        "written last, both in ms; passed_over: up to which ticket the line receives nothing; entering: behind which ticket "
        "readers still come in, and up to which; name where its keys have a digest of it; hold -> its mode, token, since when, and process id, host and task; of one that waited these in HOLD:who",
    ),
    "holders": KeyDescription("lease:holders", "ZSET", "hold -> deadline in ms"),
    "waiting": KeyDescription("lease:waiting", "ZSET", "waiter -> deadline in ms; it asks again before"),
    "line": KeyDescription("lease:line", "ZSET", "waiting writers, or those who wait for a permit, by ticket"),
    "readers": KeyDescription("lease:readers", "ZSET", "waiting readers, by ticket"),
    "withdrawn": KeyDescription(
        "lease:withdrawn", "ZSET", "hold that was withdrawn while its request may have been on its way -> when, in ms"
    ),
}
"""What a script calls a key -> the key. A queue and a lease may have the same name."""

EVENT_KEYS: Final = {
    "event": KeyDescription("event", "HASH", "set (1 or 0), generation: grows with every set, and name as in a lease"),
    "watchers": KeyDescription("event:watchers", "ZSET", "process that waits -> until when, in ms"),
    "calls": KeyDescription("event:calls", "ZSET", _CALLS),
}
"""The same for an event."""

CONDITION_KEYS: Final = {
    "waiters": KeyDescription("condition:waiters", "ZSET", "waiters, by arrival"),
    "alive": KeyDescription(
        "condition:alive", "ZSET", "waiter -> until when it counts as alive, in ms; it asks again before"
    ),
    "notified": KeyDescription(
        "condition:notified",
        "ZSET",
        "waiter that was notified and has not confirmed, or left while its request may have been on its way -> when, in ms",
    ),
    "calls": KeyDescription("condition:calls", "ZSET", _CALLS),
}
"""The same for a condition, beside the keys of its lock."""

BARRIER_KEYS: Final = {
    "barrier": KeyDescription("barrier", "HASH", "parties, longest_ttl, broken where it is, and name as in a lease"),
    "arrivals": KeyDescription("barrier:arrivals", "ZSET", "waiter -> its number, from 0"),
    "deadlines": KeyDescription("barrier:deadlines", "ZSET", "waiter -> deadline in ms; it asks again before"),
    "gaps": KeyDescription("barrier:gaps", "ZSET", "numbers of waiters that have left"),
    "passed": KeyDescription(
        "barrier:passed", "ZSET", "the last that passed and have not confirmed it -> their numbers"
    ),
    "refused": KeyDescription("barrier:refused", "ZSET", "the last for whom it broke and who have not confirmed it"),
    "outcomes": KeyDescription(
        "barrier:outcomes", "HASH", "the same of those before; and call that ended all waits -> `done`; and when, in ms"
    ),
    "departed": KeyDescription(
        "barrier:departed", "ZSET", "waiter that left while its request may have been on its way -> when, in ms"
    ),
}
"""The same for a barrier."""

RATE_KEYS: Final = {
    "rate": KeyDescription(
        "rate",
        "HASH",
        "tat: the microsecond at which all that was let go is paid for, most: how far away that may be, late: 1 where somebody did "
        "not come at its time, and name as in a lease",
    ),
    "line": KeyDescription("rate:line", "ZSET", "waiters, by ticket"),
    "deadlines": KeyDescription("rate:deadlines", "ZSET", "waiter -> deadline in ms; it asks again before"),
    "departed": KeyDescription(
        "rate:departed", "ZSET", "waiter that left while its request may have been on its way -> when, in ms"
    ),
}
"""The same for a rate limit."""


@lru_cache(maxsize=256)  # a lock is often made anew for each use
def lease_keys(name: str) -> dict[str, bytes]:
    """The keys of a lease, by what the scripts call them."""
    return keys_under(name, LEASE_KEYS)


def event_keys(name: str) -> dict[str, bytes]:
    """The keys of an event, by what the scripts call them."""
    return keys_under(name, EVENT_KEYS)


def condition_keys(name: str) -> dict[str, bytes]:
    """The keys of a condition beside those of its lock, by what the scripts call them."""
    return keys_under(name, CONDITION_KEYS)


def barrier_keys(name: str) -> dict[str, bytes]:
    """The keys of a barrier, by what the scripts call them."""
    return keys_under(name, BARRIER_KEYS)


def rate_keys(name: str) -> dict[str, bytes]:
    """The keys of a rate limit, by what the scripts call them."""
    return keys_under(name, RATE_KEYS)
