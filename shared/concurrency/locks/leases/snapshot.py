"""A lease as those see it who only watch: who holds none of it, and leaves no trace."""

from dataclasses import dataclass
from typing import Any, Final

from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.locks.leases.statistics import Holder, Waiter, kind_and_limit, read_holders, read_waiters
from shared.concurrency.session.calls import Call
from shared.concurrency.session.scripts import load

MOST: Final = 50
"""So many holders, and waiters, are listed; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Grants:
    """How often a lease was granted since its name is known; readers of one process that share a hold count as one."""

    read: int
    write: int
    permit: int

    def since(self, before: "Grants") -> "Grants":
        """Those since then; all of them where the name was forgotten meanwhile."""
        found = Grants(self.read - before.read, self.write - before.write, self.permit - before.permit)
        return self if min(found.read, found.write, found.permit) < 0 else found


@dataclass(frozen=True, slots=True)
class LeaseSnapshot:
    """A lease at one moment."""

    name: str
    kind: str
    """What it was used as last: lock, semaphore, or the policy of a readers-writers lease."""
    limit: int | None
    """How many permits a semaphore has."""
    token: int
    """The last fencing token that was granted."""
    grants: Grants
    holder_count: int
    holders: tuple[Holder, ...]
    """The first 50, by deadline."""
    waiter_count: int
    waiters: tuple[Waiter, ...]
    """The first 50, in order of arrival."""


def lease_call(stored_name: str) -> Call:
    """What reads a lease; its script cannot write. `stored_name`: as its keys have it."""
    return Call(load("lease_snapshot"), lease_keys(stored_name), (MOST,))


def read_lease(stored_name: str, answer: list[Any]) -> LeaseSnapshot | None:
    """Read the answer to that; None where the lease is not there."""
    if not answer:
        return None
    now, about, holder_count, held, waiter_count, readers, others, gone = answer
    kind, called, token, *granted = (each.decode(errors="replace") for each in about)
    word, limit = kind_and_limit(kind)
    return LeaseSnapshot(
        called or stored_name,
        word,
        limit,
        int(token or 0),
        Grants(*(int(each or 0) for each in granted)),
        holder_count,
        read_holders(int(now), held),
        waiter_count,
        read_waiters(kind, readers, others, set(gone))[:MOST],
    )
