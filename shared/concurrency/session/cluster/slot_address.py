"""SlotAddress: the node of a Cluster that serves one name, for a plain client of redis-py."""

from collections.abc import Mapping
from typing import Any, Final

from redis.exceptions import RedisError

from shared.concurrency.errors import ServerUnavailable
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.endpoint import Endpoint, Kind
from shared.concurrency.session.address.steady import Steady
from shared.concurrency.session.blocking_wire import BlockingWire
from shared.concurrency.session.cluster.survey import survey
from shared.concurrency.session.cluster.topology import QUESTION, Topology, read_slots, slot_of

_PATIENCE: Final = 1.0
"""Seconds for the answer of one node."""


class SlotAddress(Steady):
    """Asks the nodes before every connect: all keys of the client lie in one slot, `{NAME}`."""

    def __init__(self, cluster: ClusterAddress, name: str) -> None:
        """`name`: that of a queue."""
        self.shown: Final = cluster.shown
        self.kind: Final[Kind] = cluster.kind
        self.options: Final[Mapping[str, Any]] = cluster.options
        self.slot: Final = slot_of(name)
        self._cluster = cluster
        self._topology = Topology(cluster.seeds)
        self._silent: set[Endpoint] = set()

    async def locate(self) -> Endpoint:
        """The node that serves the slot now.

        :raises ServerUnavailable: when no node answers, or the slot is not served.
        """
        found = await survey(self._cluster, self._topology.to_ask(), _PATIENCE, self._silent)
        return self._learn(found.nodes)

    def locate_blocking(self) -> Endpoint:
        """The same for a thread, which waits."""
        for node in self._topology.to_ask():
            wire = BlockingWire(self._cluster.at(node), _PATIENCE)
            try:
                wire.connect()
                answer = wire.command(*QUESTION)
            except (RedisError, OSError):
                continue
            finally:
                wire.disconnect()
            if not isinstance(answer, Exception):
                return self._learn(read_slots(answer, node))
        raise ServerUnavailable("no node of the Cluster answers")

    def _learn(self, nodes: list[Endpoint | None]) -> Endpoint:
        self._topology.learn(nodes, lambda _, __: True)
        if (node := nodes[self.slot]) is None:
            raise ServerUnavailable(f"no node of the Cluster serves the slot {self.slot}")
        return node
