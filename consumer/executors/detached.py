"""Detached: takes the place of the lane for a delivery that is settled elsewhere, or not at all."""

import asyncio


class Detached:
    """A lane that settles nothing."""

    def settle(self, *_: object, headers: bytes = b"", trace: str = "") -> "asyncio.Future[None]":  # noqa: ARG002  # the signature of Settling
        """Raise RuntimeError; its text names what a handler does instead."""
        raise RuntimeError("this handler settles by returning, or by raising Retry or Reject")

    def apply(self, *_: object) -> "asyncio.Future[None]":
        """Raise RuntimeError, as `settle` does."""
        return self.settle()

    def report(self, receipt: bytes, progress: bytes, *, is_kept: bool) -> None:
        """Drop the report: it cannot reach the submitter from here."""

    def report_from_any_thread(self, receipt: bytes, progress: bytes, *, is_kept: bool) -> None:
        """Drop it likewise."""

    def settle_cancelled(self, receipt: bytes) -> None:
        """Do nothing: nobody cancels it here."""

    def check_here(self) -> None:
        """Accept every thread and every event loop."""

    def give_back_from_any_thread(self, receipt: bytes) -> None:
        """Do nothing: there is nothing to give back."""
