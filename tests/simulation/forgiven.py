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
        """Of these a put that was refused may have gone in before, or go in again."""

    def note(self, before: Contents, after: Contents) -> None:
        """The server had the one, and has the other."""
        self.losses += 1
        self.gone |= before.admitted - after.admitted
        self.gone -= after.there | after.held
        # One that had gone in, and whose putter has not heard of it, is put again: it may be refused now.
        self.back |= after.waiting | after.admitted | self.gone
