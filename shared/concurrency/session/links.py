"""Links: where the parts of a process call the server that serves their name."""

from collections.abc import Callable
from typing import Final, Protocol

from shared.concurrency.session.address.address import Address
from shared.concurrency.session.calling import Calling
from shared.concurrency.session.calls import NO_ANSWER, Calls
from shared.concurrency.session.link import Link, Origin
from shared.concurrency.session.parts import Parts


class Links(Protocol):
    """The links of one process."""

    @property
    def address(self) -> Address:
        """The address that they lead to."""

    @property
    def calls(self) -> Calls:
        """Those of any link, for what is about no name."""

    @property
    def problem(self) -> str:
        """Why the last attempt to connect failed."""

    def of(self, name: str) -> Calling:
        """How the parts under a name call; the same object for a name as long as the process lives."""

    def start(self) -> None:
        """Begin to connect."""

    async def opened(self) -> None:
        """Wait until a server can be used.

        :raises ServerRefused: when one answers but cannot be used as it is.
        """

    def refuse(self, reason: str) -> None:
        """Fail those who wait for the first connection: it is certain that none will come."""

    def unconnected(self) -> str:
        """Why a server that is needed cannot be called; empty when all can."""

    async def close(self) -> None:
        """Disconnect for good; callers fail from then on."""


class SingleLink:
    """The one link of a process whose names are all served by one server: its calls are everybody's."""

    def __init__(self, address: Address, origin: Origin, parts: Parts, on_run: Callable[[str], None]) -> None:
        """Prepare; `start` connects. `on_run` gets the server's run_id on each new connection, before the parts.

        :raises ValueError: when redis-py does not know an option of the address.
        """
        self.address: Final = address
        self._parts = parts
        self._on_run = on_run
        self._link = Link(address, origin, on_message=parts.dispatch, on_connected=self._connected)

    async def _connected(self, run_id: str) -> None:
        self._on_run(run_id)
        await self._parts.connected(run_id)

    @property
    def calls(self) -> Calls:
        """Those of the link."""
        return self._link.calls

    @property
    def problem(self) -> str:
        """Why the last attempt to connect failed."""
        return self.calls.problem

    def of(self, name: str) -> Calls:  # noqa: ARG002  # all are served by one server
        """Return the calls of the link, for every name."""
        return self._link.calls

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection breaks."""
        self._link.start()

    async def opened(self) -> None:
        """Wait until the connection can be used."""
        await self.calls.opened()

    def refuse(self, reason: str) -> None:
        """Fail those who wait for the connection, where there is none."""
        if not self.calls.is_open:
            self.calls.refuse(reason)

    def unconnected(self) -> str:
        """Why there is no connection; empty when there is one."""
        return "" if self.calls.is_open else self.calls.why_they_wait() or NO_ANSWER

    async def close(self) -> None:
        """Disconnect for good; callers fail from then on."""
        await self._link.close()
