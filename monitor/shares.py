"""Shares: of a queue with more of them than one snapshot reads, what several snapshots say together."""

import heapq
from typing import Final

from shared.concurrency.queues.shares import SharesPart, SharesSnapshot

MOST: Final = 10
"""So many shares of a queue are listed; all of them are counted."""
FROM_THE_START: Final = "0"
_NONE: Final = SharesPart(FROM_THE_START, 0, (), None)


class Shares:
    """The shares of one queue. Each snapshot adds a part; once all were read the next round begins."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._round = _NONE
        """What the parts of this round said so far."""
        self._whole: SharesSnapshot | None = None
        """What the last round said that came to its end."""

    @property
    def cursor(self) -> str:
        """Where the next snapshot goes on."""
        return self._round.cursor

    def add(self, part: SharesPart) -> SharesSnapshot:
        """Add what a snapshot read from `cursor` on; returns what is known, of the last whole round if there is one."""
        before = self._round
        # A hash that shrinks meanwhile gives some of its fields once more.
        found = {(each.share, each.priority): each for each in (*before.largest, *part.largest)}
        largest = heapq.nlargest(MOST, found.values(), key=lambda each: each.pending + each.puts_waiting)
        # The age of the largest one: it came with the part in which that is.
        of_part = bool(largest) and largest[:1] == list(part.largest[:1])
        oldest = part.oldest_seconds if of_part else before.oldest_seconds
        self._round = SharesPart(part.cursor, before.count + part.count, tuple(largest), oldest)
        is_whole = part.cursor == FROM_THE_START
        known = SharesSnapshot(self._round.count, self._round.largest, oldest, is_whole=is_whole)
        if is_whole:
            self._whole, self._round = known, _NONE
        return self._whole or known
