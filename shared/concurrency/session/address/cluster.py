"""The address of a Cluster: some of its nodes, of which any says where the others are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from shared.concurrency.session.address.endpoint import Endpoint, Kind
from shared.concurrency.session.address.grammar import ListedAddress
from shared.concurrency.session.address.options import connect_options
from shared.concurrency.session.address.steady import Steady


@dataclass(frozen=True)
class NodeAddress(Steady):
    """One node of a Cluster."""

    kind: Kind
    options: Mapping[str, Any]
    endpoint: Endpoint

    @property
    def shown(self) -> str:
        """The node."""
        return str(self.endpoint)

    async def locate(self) -> Endpoint:
        """Where the node is."""
        return self.endpoint

    def locate_blocking(self) -> Endpoint:
        """Where the node is."""
        return self.endpoint


@dataclass(frozen=True)
class ClusterAddress(Steady):
    """A Cluster. `at` is the address of one of its nodes, and user, password and options are those of all."""

    shown: str
    kind: Kind
    options: Mapping[str, Any]
    seeds: tuple[Endpoint, ...]
    """The nodes that the address names: where the first question goes."""

    @classmethod
    def of(cls, listed: ListedAddress) -> Self:
        """The address that a text gives which lists nodes."""
        # A Cluster has one database, and a node is where its endpoint says.
        options = {word: value for word, value in listed.options.items() if word not in ("host", "port", "db")}
        kind: Kind = "tls" if listed.is_encrypted else "tcp"
        return cls(listed.shown, kind, connect_options(listed.scheme) | options, listed.hosts)

    def at(self, endpoint: Endpoint) -> NodeAddress:
        """The address of a node."""
        return NodeAddress(self.kind, self.options, endpoint)

    async def locate(self) -> Endpoint:
        """The first node that the address names, for what needs any of them."""
        return self.seeds[0]

    def locate_blocking(self) -> Endpoint:
        """The same for a thread."""
        return self.seeds[0]
