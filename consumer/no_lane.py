"""NoLane: stands for the lane of a delivery that is settled elsewhere, or nowhere."""

import asyncio

from shared.concurrency import Effects


class NoLane:
    """Where nothing can be settled."""

    def settle(
        self, field: bytes, kind: str, value: int | str = 0, report: str = "", *, headers: bytes = b""
    ) -> "asyncio.Future[None]":
        """Raise RuntimeError, which says what a handler does instead."""
        raise RuntimeError("this handler settles by returning, or by raising Retry or Reject")

    def apply(self, field: bytes, effects: Effects) -> "asyncio.Future[None]":  # noqa: ARG002
        """As `settle`."""
        return self.settle(field, "ack")

    def give_back_from_any_thread(self, field: bytes) -> None:
        """Nothing to do."""
