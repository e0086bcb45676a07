"""ClusterWires: the connections of a heartbeat to the nodes of a Cluster, one to each in use."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.blocking_wire import BlockingWire
from shared.concurrency.session.cluster.topology import QUESTION, Topology, read_slots, slot_of
from shared.concurrency.session.renewable import Renewable
from shared.concurrency.session.server_errors import moved
from shared.concurrency.session.wires import Group

_SHORTEST: Final = 0.2
_ON_ITS_WAY: Final = ("ASK ", "TRYAGAIN")
_ELSEWHERE: Final = ("CLUSTERDOWN", "READONLY", "MASTERDOWN")
# redis-py takes the code off the text of what it has a class for.
_CODES: Final = {"MovedError": "MOVED ", "AskError": "ASK ", "TryAgainError": "TRYAGAIN ", "ReadOnlyError": "READONLY "}


class _NodeWire(BlockingWire):
    def __init__(self, address: ClusterAddress, endpoint: Endpoint, timeout: float) -> None:
        super().__init__(address.at(endpoint), timeout)
        self.endpoint: Final = endpoint
        self.known: set[str] = set()
        """Names that were greeted on this connection."""


class ClusterWires:
    """Finds the nodes by itself: the event loop may hang, or be busy, while a node fails."""

    def __init__(self, address: ClusterAddress, ttl: float, topology: Topology) -> None:
        """Prepare. `ttl`: the session's, in seconds; the event loop has its part in the topology, too."""
        self._address = address
        self._timeout = max(_SHORTEST, ttl / 4)
        self._topology = topology
        self._wires: dict[Endpoint, _NodeWire] = {}
        self._failed: set[Endpoint] = set()
        """Nodes that failed since any was asked where the slots are."""

    def groups(self, renewables: list[Renewable]) -> Sequence[Group]:
        """By the node that serves each of them now: those that are connected first, for others may keep us waiting."""
        self._look_around()
        by_node: dict[Endpoint, list[Renewable]] = {}
        for renewable in renewables:
            node = self._topology.node_of(slot_of(renewable.stored_name))
            if node is not None:
                by_node.setdefault(node, []).append(renewable)
        groups = []
        for node, served in by_node.items():
            wire = self._wire(node)
            strangers = [each for each in served if each.stored_name not in wire.known] if wire.is_open else []
            wire.known.update(each.stored_name for each in strangers)
            groups.append(Group(wire, served, strangers))
        return sorted(groups, key=lambda group: not group.wire.is_open)

    def of(self, wire: BlockingWire, renewables: Iterable[Renewable]) -> list[Renewable]:
        """Those of them that the node at the other end serves."""
        node = _endpoint(wire)
        served = [each for each in renewables if self._topology.node_of(slot_of(each.stored_name)) == node]
        self._wire(node).known.update(each.stored_name for each in served)
        return served

    def goes_again(self, wire: BlockingWire, renewable: Renewable, answer: ResponseError) -> bool | None:
        """Again at once where another node serves the name; again soon where its slot is on its way."""
        text = _CODES.get(type(answer).__name__, "") + str(answer)
        if (elsewhere := moved(text)) is not None:
            to = elsewhere.to
            self._topology.moved(slot_of(renewable.stored_name), Endpoint(to.host or _endpoint(wire).host, to.port))
            return True
        if text.startswith(_ELSEWHERE):
            self._failed.add(_endpoint(wire))
        return False if text.startswith(_ON_ITS_WAY + _ELSEWHERE) else None

    def connect(self, wire: BlockingWire, shortest: float) -> None:
        """Connect; a node that does not answer must not cost what is held at others its life."""
        wire.connect(min(self._timeout, max(_SHORTEST, shortest / 4)))

    def failed(self, wire: BlockingWire) -> None:
        """Drop a connection; the other nodes are asked what has become of the slots."""
        self._failed.add(_endpoint(wire))
        self._drop(_endpoint(wire))

    def disconnect(self) -> None:
        """Drop all connections."""
        for node in list(self._wires):
            self._drop(node)

    def _wire(self, node: Endpoint) -> _NodeWire:
        if node not in self._wires:
            self._wires[node] = _NodeWire(self._address, node, self._timeout)
        return self._wires[node]

    def _drop(self, node: Endpoint) -> None:
        wire = self._wires.pop(node, None)
        if wire is not None:
            wire.disconnect()

    def _look_around(self) -> None:
        """Ask a node that is connected, or else one that has not failed, where the slots of those that failed are."""
        if not self._failed:
            return
        others = [node for node in self._topology.to_ask() if node not in self._failed]
        others.sort(key=lambda node: not self._wire(node).is_open)
        if not others:
            self._failed.clear()  # all of them: whoever comes back first says
        elif (answer := self._answer(others[0])) is not None:
            self._topology.learn(read_slots(answer, others[0]), lambda _, node: node in self._failed)
            self._failed.clear()

    def _answer(self, node: Endpoint) -> Any:
        wire = self._wire(node)
        try:
            if not wire.is_open:
                wire.connect(_SHORTEST)
            answer = wire.command(*QUESTION)
        except (RedisError, OSError):
            self._failed.add(node)
            self._drop(node)
            return None
        return None if isinstance(answer, Exception) else answer


def _endpoint(wire: BlockingWire) -> Endpoint:
    assert isinstance(wire, _NodeWire)  # noqa: S101  # for the type checker: all of ours are
    return wire.endpoint
