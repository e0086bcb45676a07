"""LeaseStatistics: who holds a lease, and who waits for it."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

_MODES: Final = {"r": "read", "w": "write", "p": "permit"}
_first: Final = itemgetter(0)


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
    """A lease at one moment.

    Where more than a few hundred hold or wait it takes several calls, and these are of slightly different moments:
    whoever holds or waits all the while is in it once, whoever comes or leaves meanwhile may be in it or not.
    """

    holders: tuple[Holder, ...]
    """The first to expire first."""
    waiters: tuple[Waiter, ...]
    """In order of arrival."""
    kind: str
    """What it was used as last: lock, semaphore, or the policy of a readers-writers lease; empty where it never was."""
    limit: int | None
    """How many permits a semaphore has."""


async def read_statistics(ask: Callable[[str], Awaitable[list[Any]]]) -> LeaseStatistics:
    """Read all portions; `ask` sends the script, with where to go on."""
    holders: dict[bytes, tuple[int, Holder]] = {}
    waiting: dict[bytes, tuple[int, Waiter]] = {}
    now, stored, following, *found = await ask("")
    kind, limit = kind_and_limit(stored.decode())
    modes = _modes(stored.decode())
    while True:
        *waits, held = found
        for mode, read in zip(modes, waits, strict=True):
            waiting |= {
                waiter: (int(ticket), Waiter(owner(waiter), mode))
                for waiter, ticket in zip(read[::2], read[1::2], strict=True)
            }
        for at in range(0, len(held), 4):
            holders[held[at]] = int(held[at + 1]), _holder(int(now), *held[at : at + 4])
        if not following:
            break
        now, _, following, *found = await ask(following.decode())
    return LeaseStatistics(
        tuple(holder for _, holder in sorted(holders.values(), key=_first)),
        tuple(waiter for _, waiter in sorted((waiting[one] for one in waiting.keys() - holders.keys()), key=_first)),
        kind,
        limit,
    )


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
    waiting = [
        (int(ticket), owner(waiter), mode)
        for who, mode in zip((readers, others), _modes(stored), strict=True)
        for waiter, ticket in zip(who[::2], who[1::2], strict=True)
        if waiter not in gone
    ]
    return tuple(Waiter(who, mode) for _, who, mode in sorted(waiting))


def _modes(stored: str) -> tuple[str, str]:
    """What the readers of the line, and the others there, wait for."""
    return "read", "permit" if stored.partition(" ")[0] in ("lock", "limit") else "write"


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
