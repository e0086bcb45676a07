"""The names of keys: every key of a queue stands under `{name}:`, so that Redis Cluster keeps them in one slot."""

import re

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)

QUEUE_KEYS = {
    "pending": "pending",
    "returned": "returned",
    "suspects": "suspects",
    "delayed": "delayed",
    "handed": "handed",
    "line": "line",
    "bodies": "bodies",
    "dead": "dead",
    "dead_index": "dead:index",
    "sessions": "sessions",
    "idle": "idle",
    "joiners": "joiners",
    "lanes": "lanes",
    "ids": "ids",
    "ids_due": "ids:due",
    "settings": "settings",
    "totals": "totals",
    "results": "results",
    "results_due": "results:due",
    "given_up": "given_up",
}
"""What a script calls a key -> how the key is called under `{name}:`. `leased` is told by its session."""


LEASE_KEYS = {
    "record": "lease",
    "holders": "lease:holders",
    "waiting": "lease:waiting",
    "line": "lease:line",
    "readers": "lease:readers",
    "withdrawn": "lease:withdrawn",
}
"""The same for a lease. (A queue and a lease may have the same name.)"""


EVENT_KEYS = {"event": "event", "watchers": "event:watchers"}
CONDITION_KEYS = {
    "waiters": "condition:waiters",
    "alive": "condition:alive",
    "notified": "condition:notified",
}


def check_name(name: str) -> str:
    """Return a name of a queue or a lease if it is one.

    :raises ValueError: when it is not 1 to 64 letters, digits, `_`, `.` or `-`.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"a name is 1 to 64 of the characters A-Z a-z 0-9 _ . - and not {name!r}")
    return name


def full_name(name: str, group: str | None) -> str:
    """What a queue is known by: its name, or GROUP/NAME, whose keys begin with `{GROUP}/NAME:` and share the group's slot.

    :raises ValueError: when one of them is no name.
    """
    return check_name(name) if group is None else f"{check_name(group)}/{check_name(name)}"


def queue_keys(name: str) -> dict[str, bytes]:
    """The keys of a queue, by what the scripts call them."""
    return _under(name, QUEUE_KEYS)


def lease_keys(name: str) -> dict[str, bytes]:
    """The keys of a lease, by what the scripts call them."""
    return _under(name, LEASE_KEYS)


def event_keys(name: str) -> dict[str, bytes]:
    """The keys of an event, by what the scripts call them."""
    return _under(name, EVENT_KEYS)


def condition_keys(name: str) -> dict[str, bytes]:
    """The keys of a condition beside those of its lock, by what the scripts call them."""
    return _under(name, CONDITION_KEYS)


def _prefix(name: str) -> str:
    tag, slash, rest = name.partition("/")
    return f"{{{tag}}}{slash}{rest}:"


def _under(name: str, keys: dict[str, str]) -> dict[str, bytes]:
    return {word: f"{_prefix(name)}{suffix}".encode() for word, suffix in keys.items()}


def leased_key(name: str, session: str) -> bytes:
    """The key of the deliveries that one session holds."""
    return f"{_prefix(name)}leased:{session}".encode()


def channel(owner: str) -> bytes:
    """The channel of the wake-ups of one process."""
    return f"weir:{owner}".encode()
