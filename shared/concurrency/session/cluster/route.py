"""Route: the way of one slot's names to the node that serves them now."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.calls import NO_ANSWER, Call, Insisting
from shared.concurrency.session.cluster.node import NodeLink
from shared.concurrency.session.run import Run
from shared.concurrency.session.server_errors import Disconnected, Moved, Postponed
from shared.concurrency.session.tally import Tally

_ELSEWHERE: Final = ("CLUSTERDOWN", "READONLY", "MASTERDOWN")
"""What a node answers that may serve the slot no more, and does not say who does."""
_NO_RUN: Final = Run()


class Route(Insisting):
    """Has the face of Calls for the names of one slot. Their calls and pushes stay on one link, in order.

    When the slot moves, the link changes between two calls: the parts under these names are announced at the other node
    and query it, as after a reconnect, before anybody calls there.
    """

    is_on_cluster: Final = True

    def __init__(self, slot: int, tally: Tally, on_moved: "Callable[[Route, NodeLink, Endpoint | None], None]") -> None:
        """Begin without a link. `on_moved`: called with the node that serves the slot; None where nobody says which."""
        self.slot: Final = slot
        self.tally: Final = tally
        self.link: NodeLink | None = None
        self.is_announced = False
        """Whether the node knows the parts under these names since the link is connected."""
        self.is_doubtful = False
        """Whether the node cannot serve the slot, and does not say who does."""
        self._on_moved = on_moved
        self._usable = asyncio.Event()
        self._end: ConcurrencyError | None = None

    # --- what callers use ---------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether callers may call now."""
        return self.is_announced and self.link is not None and self.link.calls.is_open

    @property
    def run(self) -> Run:
        """Which run of the node is called."""
        return _NO_RUN if self.link is None else self.link.calls.run

    @property
    def run_id(self) -> str:
        """The run_id of the node."""
        return self.run.id

    @property
    def connection(self) -> object:
        """The connection that `now` sends on, if any."""
        return None if self.link is None else self.link.calls.connection

    def why_they_wait(self) -> str:
        """What the node refuses now, in its words, or why there is no connection."""
        return NO_ANSWER if self.link is None else self.link.calls.why_they_wait()

    async def opened(self) -> None:
        """Wait until the node can be called.

        :raises ServerRefused: when the node answers but cannot be used as it is.
        :raises ConcurrencyError: when the session is closed.
        """
        while not self.is_open:
            if (refusal := self._refusal()) is not None:
                raise refusal
            await self._usable.wait()

    async def once(self, call: Call) -> Any:
        """As Calls.once; Postponed also while the slot is on its way."""
        if not self.is_open:
            await self.opened()
        return await self.now(call)

    async def now(self, call: Call) -> Any:
        """As Calls.now; Postponed also while the slot is on its way."""
        link = self.link
        if link is None:
            raise Disconnected(NO_ANSWER)
        try:
            answer = await link.calls.now(call)
        except Moved as moved:
            self._on_moved(self, link, moved.to)
            raise Postponed(f"the slot {self.slot} has moved to {moved.to}") from moved
        except Postponed as error:
            if str(error).startswith(_ELSEWHERE):
                self._on_moved(self, link, None)
            raise
        self.is_doubtful = False
        return answer

    # --- what the links do --------------------------------------------------------------------------------------------

    def lead_to(self, link: NodeLink) -> None:
        """Call there from now on, once the parts are announced."""
        self.link = link
        self.is_announced = self.is_doubtful = False
        self.look()

    def announced(self) -> None:
        """Let callers call."""
        self.is_announced = True
        self.look()

    def look(self) -> None:
        """Wake or hold those who wait, as the link is now."""
        if self.link is not None and not self.link.is_greeted:
            self.is_announced = False
        if self.is_open or self._refusal() is not None:
            self._usable.set()
        else:
            self._usable.clear()

    def close(self, error: ConcurrencyError) -> None:
        """Fail callers from here on."""
        self._end = error
        self.look()

    def _refusal(self) -> ConcurrencyError | None:
        return self._end or (None if self.link is None else self.link.calls.refusal)
