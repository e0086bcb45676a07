"""The address of a Cluster: some of its nodes, of which any says where the others are."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from shared.concurrency.session.address.endpoint import Endpoint, Kind
from shared.concurrency.session.address.grammar import ListedAddress
from shared.concurrency.session.address.options import connect_options


@dataclass(frozen=True)
class NodeAddress:
    """One node of a Cluster."""

    kind: Kind
    options: Mapping[str, Any]
    endpoint: Endpoint

    leads_to_primary = False

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

    def is_left(self, endpoint: Endpoint) -> bool:  # noqa: ARG002  # who serves a slot is found out by asking
        """Never."""
        return False

    async def left(self, endpoint: Endpoint) -> None:  # noqa: ARG002  # as above
        """For ever."""
        await asyncio.Event().wait()


@dataclass(frozen=True)
class ClusterAddress:
    """A Cluster. `at` is the address of one of its nodes, and user, password and options are those of all."""

    shown: str
    kind: Kind
    options: Mapping[str, Any]
    seeds: tuple[Endpoint, ...]
    """The nodes that the address names: where the first question goes."""

    leads_to_primary = False

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

    def is_left(self, endpoint: Endpoint) -> bool:  # noqa: ARG002  # who serves a slot is found out by asking
        """Never."""
        return False

    async def left(self, endpoint: Endpoint) -> None:  # noqa: ARG002  # as above
        """For ever."""
        await asyncio.Event().wait()
