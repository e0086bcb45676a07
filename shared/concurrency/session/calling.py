"""Calling: how a part of a process calls the server that serves its name."""

from typing import Any, Protocol

from shared.concurrency.session.calls import Call
from shared.concurrency.session.run import Run
from shared.concurrency.session.tally import Tally


class Calling(Protocol):
    """The calls of one connection, or on a Cluster the route to whichever node serves the name now."""

    @property
    def is_open(self) -> bool:
        """Whether callers may call now: `opened` would return at once."""

    @property
    def is_on_cluster(self) -> bool:
        """Whether the server is a node of a Cluster."""

    @property
    def run_id(self) -> str:
        """The run_id of the server that is called."""

    @property
    def run(self) -> Run:
        """Which run of the server that is."""

    @property
    def connection(self) -> object:
        """The connection that `now` sends on, if any: what was sent on another one may run behind that."""

    @property
    def tally(self) -> Tally:
        """What this process counts."""

    def why_they_wait(self) -> str:
        """As Calls.why_they_wait."""

    async def opened(self) -> None:
        """As Calls.opened."""

    async def once(self, call: Call) -> Any:
        """As Calls.once."""

    async def insist(self, call: Call) -> Any:
        """As Calls.insist."""

    async def now(self, call: Call) -> Any:
        """As Calls.now."""
