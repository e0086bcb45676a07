"""LeaseStatistics: who holds a lease, and who waits for it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

_MODES: Final = {"r": "read", "w": "write", "p": "permit"}


@dataclass(frozen=True)
class Holder:
    """One hold."""

    owner: str
    """The process: `Session.owner`."""
    mode: str
    """read, write or permit."""
    token: int
    seconds_left: float
    """Until it expires unless it is renewed."""
    pid: int
    """The process id at its host; 0 where it is unknown."""
    host: str
    task: str
    """The name of the task that asked for it; of the readers that share a hold, the first."""
    hold: str
    """What the hold is called at the server."""
    since: float
    """When it was granted, in seconds since 1970 by the server's clock."""


@dataclass(frozen=True)
class Waiter:
    """One who waits."""

    owner: str
    mode: str


@dataclass(frozen=True)
class LeaseStatistics:
    """A lease at one moment, read by one script."""

    holders: tuple[Holder, ...]
    waiters: tuple[Waiter, ...]
    """In order of arrival."""
    kind: str
    """What it was used as last: lock, semaphore, or the policy of a readers-writers lease; empty where it never was."""
    limit: int | None
    """How many permits a semaphore has."""


def read_statistics(answer: list[Any]) -> LeaseStatistics:
    """Read the answer of the script."""
    now, kind, held, readers, others = answer
    kind = kind.decode()
    word, limit = kind_and_limit(kind)
    return LeaseStatistics(read_holders(int(now), held), read_waiters(kind, readers, others), word, limit)


def kind_and_limit(stored: str) -> tuple[str, int | None]:
    """What a lease is used as, and how many permits it has."""
    word, _, limit = stored.partition(" ")
    return "semaphore" if limit else word, int(limit) if limit else None


def read_holders(now: int, held: list[bytes]) -> tuple[Holder, ...]:
    """Read those who hold it, four words each; `now`: in ms."""
    return tuple(_holder(now, *held[at : at + 4]) for at in range(0, len(held), 4))


def read_waiters(
    stored: str, readers: list[bytes], others: list[bytes], gone: Collection[bytes] = ()
) -> tuple[Waiter, ...]:
    """Read those who wait, in order of arrival, from ids with their tickets; but for those who have `gone`."""
    other = "permit" if stored.partition(" ")[0] in ("lock", "limit") else "write"
    waiting = [
        (int(ticket), owner(waiter), mode)
        for who, mode in ((readers, "read"), (others, other))
        for waiter, ticket in zip(who[::2], who[1::2], strict=True)
        if waiter not in gone
    ]
    return tuple(Waiter(who, mode) for _, who, mode in sorted(waiting))


def _holder(now: int, hold_id: bytes, deadline: bytes, grant: bytes, who: bytes) -> Holder:
    mode, token, since, at_once = grant.split(b" ", 3)
    pid, host, task = [*(at_once or who).decode(errors="replace").split(" ", 2), "", ""][
        :3
    ]  # a client need not name itself
    return Holder(
        owner(hold_id), _MODES[mode.decode()], int(token), (int(deadline) - now) / 1000, int(pid or 0), host, task,
        hold_id.decode(), int(since) / 1000,
    )  # fmt: skip


def owner(hold_id: bytes) -> str:
    """The process that a hold belongs to."""
    return hold_id[:12].decode()
