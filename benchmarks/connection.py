"""A connection as a session has it, without the session: for the limits, which send scripts and do nothing else."""

from collections.abc import Callable

from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.calls import Calls
from shared.concurrency.session.connection import Connection
from shared.concurrency.session.refusals import Refusals


class BareConnection:
    """Calls on one connection; nothing is renewed, announced or handled when it is lost."""

    def __init__(self, url: str, owner: str, on_message: Callable[[bytes], None] = lambda _: None) -> None:
        """Prepare; `opened` connects. `on_message` receives what the scripts publish to this owner."""
        self.calls = Calls(Refusals(0))
        self._connection = Connection(
            read_address(url),
            owner,
            self.calls,
            reply_timeout=10,
            refusal_grace=0,
            on_message=on_message,
            on_connected=self._connected,
            on_lost=lambda: None,
        )

    async def _connected(self, run_id: str) -> None:
        """Do nothing: there is nothing to announce."""

    async def opened(self) -> Calls:
        """Connect."""
        self._connection.start()
        await self.calls.opened()
        return self.calls
