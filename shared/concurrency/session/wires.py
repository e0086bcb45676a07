"""Wires: which connection of the heartbeat's thread leads to the server that serves a name."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from redis.exceptions import ResponseError

from shared.concurrency.session.address.address import Address
from shared.concurrency.session.blocking_wire import BlockingWire
from shared.concurrency.session.renewable import Renewable
from shared.concurrency.session.run import UNKNOWN


class Group(NamedTuple):
    """What is renewed on one wire."""

    wire: BlockingWire
    renewables: list[Renewable]
    strangers: list[Renewable]
    """Those of them that this run of the server may not know yet: they are greeted first."""


class Wires(Protocol):
    """The connections of one heartbeat; all of it is called in its thread."""

    def groups(self, renewables: list[Renewable]) -> Sequence[Group]:
        """By the server that serves each of them now: those that are connected first."""

    def of(self, wire: BlockingWire, renewables: Iterable[Renewable]) -> list[Renewable]:
        """Those of them that are served at the other end of a wire."""

    def goes_again(self, wire: BlockingWire, renewable: Renewable, answer: ResponseError) -> bool | None:
        """What to do with what a server refuses: again at once (elsewhere), again soon, or, None, as ever."""

    def connect(self, wire: BlockingWire, shortest: float) -> None:
        """Connect; `shortest`: the shortest time to live, in seconds, of what is renewed on any wire."""

    def failed(self, wire: BlockingWire) -> None:
        """Drop a connection: it has failed."""

    def disconnect(self) -> None:
        """Drop all connections."""


class SingleWire:
    """The one connection of a heartbeat whose names are all served by one server."""

    def __init__(self, address: Address, ttl: float) -> None:
        """Prepare. `ttl`: the session's, in seconds."""
        self._wire: Final = BlockingWire(address, max(0.2, ttl / 4))
        self._left_for = ""

    def follow(self, run_id: str) -> None:
        """The session's connection leads to this run of a server: one to another run is left, which may be no primary.

        In the event loop. Until the session has followed too, a connection that came first is opened again and again.
        """
        self._left_for = "" if run_id.startswith(UNKNOWN) else run_id

    def groups(self, renewables: list[Renewable]) -> Sequence[Group]:
        """All of them on the one wire."""
        if self._wire.is_open and self._left_for not in ("", self._wire.run_id):
            self._wire.disconnect()
        return [Group(self._wire, renewables, [])] if renewables else []

    def of(self, wire: BlockingWire, renewables: Iterable[Renewable]) -> list[Renewable]:  # noqa: ARG002  # the only one
        """All of them."""
        return list(renewables)

    def goes_again(self, wire: BlockingWire, renewable: Renewable, answer: ResponseError) -> None:
        """As ever."""

    def connect(self, wire: BlockingWire, shortest: float) -> None:  # noqa: ARG002  # as long as ever
        """Connect."""
        wire.connect()

    def failed(self, wire: BlockingWire) -> None:
        """Drop the connection."""
        wire.disconnect()

    def disconnect(self) -> None:
        """Drop the connection."""
        self._wire.disconnect()
