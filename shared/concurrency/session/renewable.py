"""Renewable: what a heartbeat renews."""

from collections.abc import Sequence
from typing import Any, Protocol

from shared.concurrency.session.calls import Call


class Renewable(Protocol):
    """What a heartbeat renews; all of it is called in the heartbeat's thread."""

    name: str
    """What people call it, for the log."""

    @property
    def stored_name(self) -> str:
        """Its name as its keys hold it."""

    @property
    def shortest_ttl(self) -> float:
        """The shortest time to live, in seconds, of what is to be renewed; infinite when there is nothing."""

    def greeting(self, run_id: str) -> Call | None:
        """The call that announces the server's run, first on a new connection; None for none."""

    def renewals(self, run_id: str, loop_idle: float) -> Sequence[Call]:
        """The calls that renew all there is; none when there is nothing.

        `loop_idle`: for how many seconds the event loop has not run.
        """

    def renewed(self, call: Call, sent_at: float, answer: list[Any]) -> None:
        """Receive the answer to a renewal; `sent_at`: when that was sent, by the local clock."""
