"""NodeLink: the link of a process to one node of a Cluster."""

from collections.abc import Callable
from typing import Final

from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.calls import Calls
from shared.concurrency.session.link import Link, Origin


class NodeLink:
    """Is made at the first use of a name that the node serves, and closed when no name is left."""

    def __init__(
        self,
        address: ClusterAddress,
        endpoint: Endpoint,
        origin: Origin,
        *,
        on_message: "Callable[[NodeLink, bytes], None]",
        on_greeted: "Callable[[NodeLink], None]",
        on_change: "Callable[[NodeLink], None]",
    ) -> None:
        """Connect to a node, and again whenever the connection breaks."""
        self.endpoint: Final = endpoint
        self.greetings = 0
        """How often it was connected."""
        self.is_greeted = False
        """Whether the connection leads to a run of the node that is known."""
        self._on_greeted = on_greeted
        self._on_change = on_change
        self._link = Link(
            address.at(endpoint),
            origin,
            on_message=lambda message: on_message(self, message),
            on_connected=self._connected,
            on_change=self._changed,
        )
        self.calls: Final[Calls] = self._link.calls
        self._link.start()

    async def close(self) -> None:
        """Disconnect for good."""
        await self._link.close()

    async def _connected(self, run_id: str) -> None:  # noqa: ARG002  # the calls know it
        self.greetings += 1
        self.is_greeted = True
        self._on_greeted(self)

    def _changed(self) -> None:
        if not self.calls.is_open:
            self.is_greeted = False
        self._on_change(self)
