"""Settlement: what a handout asks of whoever settles it."""

import asyncio
from typing import Protocol

from shared.concurrency.queues.effects.effects import Effects


class Settling(Protocol):
    """Where a handout is settled."""

    def settle(
        self, entry: bytes, kind: str, value: int | str | bytes = 0, report: str = "",
        *, headers: bytes = b"", trace: str = "",
    ) -> asyncio.Future[None]:  # fmt: skip
        """Settle with the next call, which goes at once; the future fails with StaleDelivery when it was not ours."""

    def apply(self, receipt: bytes, effects: Effects, outcome: bytes) -> asyncio.Future[None]:
        """Acknowledge and write the effects in one step; `outcome` is empty where nobody asked for the result.

        The future fails with StaleDelivery (no longer ours) or EffectRefused (nothing written, still ours).

        :raises EffectRefused: when an effect cannot be sent.
        """

    def settle_cancelled(self, receipt: bytes) -> None:
        """Settle a delivery whose message was cancelled, unless that was done; nobody waits for the answer."""

    def check_here(self) -> None:
        """Raise WrongLoop outside the event loop of the session."""

    def report(self, receipt: bytes, progress: bytes, *, is_kept: bool) -> None:
        """Tell whoever submitted the message how far it is, sooner or later; `is_kept`: others may listen, too."""

    def report_from_any_thread(self, receipt: bytes, progress: bytes, *, is_kept: bool) -> None:
        """As `report`, in any thread."""

    def give_back_from_any_thread(self, entry: bytes) -> None:
        """Give back what its owner forgot."""
