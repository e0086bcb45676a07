"""Forgiven: what losses of data have taken from a queue, and what they have brought back."""

from tests.simulation.contents import Contents


class Forgiven:
    """The messages of one queue, by their numbers."""

    def __init__(self) -> None:
        """Nothing was lost yet."""
        self.losses = 0
        self.gone: set[int] = set()
        """What had gone in, and is known no more: it may never be handled."""
        self.back: set[int] = set()
        """Of these a put that was refused, or taken back, may have gone in before, or go in again."""

    def note(self, before: Contents, after: Contents) -> None:
        """The server had the one, and has the other."""
        self.losses += 1
        self.gone |= (before.admitted | before.deferred) - after.admitted - after.deferred
        self.gone -= after.there | after.held | after.deferred
        # One that had gone in, and whose putter has not heard of it, is put again: it may be refused now.
        # Before a job is gone a clock may have begun it, and goes on.
        self.back |= after.waiting | after.admitted | after.deferred | before.deferred | self.gone
