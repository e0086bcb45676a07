"""Link: one connection to one server for calls and pushes, and what is called on it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shared.concurrency.session.address.address import Address
from shared.concurrency.session.calls import Calls
from shared.concurrency.session.connection import Connection
from shared.concurrency.session.refusals import Refusals
from shared.concurrency.session.replicated import ReplicatedReplies
from shared.concurrency.session.replies import Replies
from shared.concurrency.session.tally import Tally


@dataclass(frozen=True)
class Origin:
    """Of which process a link is: what holds for all its links."""

    owner: str
    reply_timeout: float
    """For how many seconds a silent server is waited for."""
    refusal_grace: float
    refusals: Refusals
    tally: Tally
    on_lost: Callable[[], None]
    """Called when a connection that was in use has broken."""
    replicas: int = 0
    """How many replicas must have what is promised."""


class Link:
    """Calls of one process to one server, and the connection that carries them."""

    def __init__(
        self,
        address: Address,
        origin: Origin,
        *,
        on_message: Callable[[bytes], None],
        on_connected: Callable[[str], Awaitable[None]],
        on_change: Callable[[], object] | None = None,
    ) -> None:
        """Prepare; `start` connects. What is called when: see Connection and Calls.

        :raises ValueError: when redis-py does not know an option of the address.
        """
        replies = ReplicatedReplies(origin.replicas) if origin.replicas else Replies()
        self.calls: Final = Calls(origin.refusals, origin.tally, on_change, replies)
        self._connection = Connection(
            address,
            origin.owner,
            self.calls,
            reply_timeout=origin.reply_timeout,
            refusal_grace=origin.refusal_grace,
            on_message=replies.in_order(on_message),
            on_connected=on_connected,
            on_lost=origin.on_lost,
        )

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection breaks."""
        self._connection.start()

    async def close(self) -> None:
        """Disconnect for good; callers fail from then on."""
        await self._connection.close()
        self.calls.close()
