"""Numbering: the entries of one process, in the order in which it puts them."""

from typing import Final

from shared.concurrency.queues.puts.batch import OutgoingEntry


class Numbering:
    """Gives each entry the next number of its owner, which is part of its key."""

    def __init__(self, owner: str) -> None:
        """Begin with 1."""
        self._owner: Final = owner.encode()
        self._last = 0

    def entry(self, middle: bytes, body: bytes) -> OutgoingEntry:
        """Number an entry; entries must be submitted in this order."""
        self._last = number = self._last + 1
        return OutgoingEntry(number, b"%b%010d%b%b" % (self._owner, number, middle, body))
