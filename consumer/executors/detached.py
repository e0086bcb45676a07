"""NoLane: stands for the lane of a delivery that is settled elsewhere, or nowhere."""

import asyncio


class NoLane:
    """Where nothing can be settled."""

    def settle(self, *_: object, headers: bytes = b"", trace: str = "") -> "asyncio.Future[None]":  # noqa: ARG002  # that of Settling
        """Raise RuntimeError, which says what a handler does instead."""
        raise RuntimeError("this handler settles by returning, or by raising Retry or Reject")

    def apply(self, *_: object) -> "asyncio.Future[None]":
        """As `settle`."""
        return self.settle()

    def report(self, receipt: bytes, progress: bytes) -> None:
        """Nobody is told: nobody submitted it from here."""

    def check_here(self) -> None:
        """Anywhere is right."""

    def give_back_from_any_thread(self, receipt: bytes) -> None:
        """Nothing to do."""
