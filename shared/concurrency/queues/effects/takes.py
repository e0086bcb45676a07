"""Takes: what the lane of effects knows of whoever takes beside it."""

from typing import Protocol


class Takes(Protocol):
    """What takes and settles for the same process beside this lane."""

    def workers(self) -> int:
        """How many deliveries this process handles at once."""

    def backpressure_changed(self) -> None:
        """More may be taken, or less."""

    def nack(self, receipt: bytes, report: str) -> None:
        """Nack what nobody waits for and could not be acknowledged."""

    def resync_needed(self) -> None:
        """Nobody knows what a failed call has done."""
