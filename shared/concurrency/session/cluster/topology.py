"""Topology: which node of a Cluster serves which slot, as far as is known."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from redis.crc import key_slot

from shared.concurrency.session.address.endpoint import Endpoint

SLOTS: Final = 16384
QUESTION: Final = ("CLUSTER", "SLOTS")
"""What any node answers; `read_slots` reads it."""


@lru_cache(maxsize=20_000)
def slot_of(name: str) -> int:
    """The slot of all keys of a queue or lease, which begin with `{NAME}`, or `{GROUP}` where it has a group."""
    return int(key_slot(name.partition("/")[0].encode()))


def read_slots(answer: Iterable[Any], asked: Endpoint) -> list[Endpoint | None]:
    """The master of each slot from an answer to QUESTION; `asked`: the node that has given it."""
    found: list[Endpoint | None] = [None] * SLOTS
    for first, last, master, *_ in answer:
        host = "" if master[0] is None else master[0].decode() if isinstance(master[0], bytes) else str(master[0])
        if host == "?":  # it does not know the name that it is to say
            continue
        # A node that does not know its own host is where it was asked.
        endpoint = Endpoint(host or asked.host, int(master[1]))
        found[int(first) : int(last) + 1] = [endpoint] * (int(last) - int(first) + 1)
    return found


class Topology:
    """Written and read by the event loop and the heartbeat's thread: each change is one assignment."""

    def __init__(self, seeds: Iterable[Endpoint]) -> None:
        """Begin with nodes of which any may be asked."""
        self._seeds: Final = tuple(seeds)
        self._nodes: list[Endpoint | None] = [None] * SLOTS

    @property
    def is_known(self) -> bool:
        """Whether any node has answered yet."""
        return any(self._nodes)

    def node_of(self, slot: int) -> Endpoint | None:
        """The node that serves a slot; None where nobody is known to."""
        return self._nodes[slot]

    def nodes(self) -> list[Endpoint]:
        """The nodes that serve something, in the order of their slots."""
        return list(dict.fromkeys(node for node in self._nodes if node is not None))

    def to_ask(self) -> list[Endpoint]:
        """All nodes that are known: those that serve something first."""
        return list(dict.fromkeys([*self.nodes(), *self._seeds]))

    def moved(self, slot: int, to: Endpoint) -> None:
        """Note what a node has answered: the slot is served by this one."""
        self._nodes[slot] = to

    def learn(self, found: list[Endpoint | None], may_change: Callable[[int, Endpoint], bool]) -> None:
        """Take over what a node says, where nothing is known or the caller does not trust it.

        A node that hears of a change late would undo what MOVED has said. `may_change` gets a slot and its node.
        """
        self._nodes = [
            after if before is None or (after is not None and after != before and may_change(slot, before)) else before
            for slot, (before, after) in enumerate(zip(self._nodes, found, strict=True))
        ]
