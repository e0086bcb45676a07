"""Reach: what leads to the servers of an address, for the event loop and for the heartbeat's thread."""

from shared.concurrency.session.address.address import Address
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.cluster.links import ClusterLinks
from shared.concurrency.session.cluster.topology import Topology
from shared.concurrency.session.cluster.wires import ClusterWires
from shared.concurrency.session.link import Origin
from shared.concurrency.session.links import Links, SingleLink
from shared.concurrency.session.parts import Parts
from shared.concurrency.session.wires import SingleWire, Wires


def reach(address: Address, ttl: float, origin: Origin, parts: Parts) -> tuple[Links, Wires]:
    """The links of a process, and the connections of its heartbeat. `ttl`: the session's, in seconds."""
    if isinstance(address, ClusterAddress):
        topology = Topology(address.seeds)
        return ClusterLinks(address, origin, parts, topology), ClusterWires(address, ttl, topology)
    wire = SingleWire(address, ttl)
    return SingleLink(address, origin, parts, wire.follow), wire
