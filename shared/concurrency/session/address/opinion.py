"""Opinion: what one sentinel says of a service."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from shared.concurrency.session.address.endpoint import Endpoint

QUESTIONS: Final = ("GET-MASTER-ADDR-BY-NAME", "MASTER")
"""Subcommands of SENTINEL. The first names a new primary as soon as it is promoted, the second says how it does."""

_DOWN: Final = frozenset({"s_down", "o_down"})
_IN_DOUBT: Final = _DOWN | {"failover_in_progress", "disconnected", "master_down"}


class Opinion(NamedTuple):
    """Who leads, or why nobody does."""

    leader: Endpoint | None
    problem: str
    is_in_doubt: bool
    """Whether it may soon be another one."""
    epoch: int = 0
    """A number that grows with each failover: who says a smaller one has not heard of the last."""


def opinion(where: Sequence[bytes] | None, state: Sequence[bytes]) -> Opinion:
    """What the answers to QUESTIONS say, as RESP2 has them."""
    words = [word.decode(errors="replace") for word in state]
    fields = dict(zip(words[::2], words[1::2], strict=True))
    flags = set(fields.get("flags", "").split(","))
    known = Endpoint(fields.get("ip", ""), int(fields.get("port", 0)))
    leader = known if where is None else Endpoint(where[0].decode(), int(where[1]))
    epoch = int(fields.get("config-epoch", 0)) + (leader != known)
    is_in_doubt = not flags.isdisjoint(_IN_DOUBT)
    if leader == known and not flags.isdisjoint(_DOWN):
        return Opinion(None, f"{known} is down, and no other server leads yet", is_in_doubt, epoch)
    return Opinion(leader, "", is_in_doubt, epoch)
