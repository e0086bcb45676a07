"""Resync: has a call give back what the server believes that this process holds, and it does not (rule 7)."""


class Resync:
    """Whether nobody knows what a call has done; a later call that resyncs tells."""

    __slots__ = ("doubts", "resolved")

    def __init__(self) -> None:
        """Begin without a doubt."""
        self.doubts = 0
        """How often nobody knew."""
        self.resolved = 0
        """How many of these doubts there were when the call was made that was answered last."""

    def is_needed(self) -> bool:
        """Whether a doubt is left."""
        return self.doubts != self.resolved

    def doubt(self) -> None:
        """Nobody knows what a call has done, or whether what is held here is known there."""
        self.doubts += 1
