"""Look: what a lane of puts does not know of its entries that wait, and when it asks the server."""

import asyncio
import math

from shared.concurrency.queues.encoding.entry import keys_in
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.puts.putters import Putters
from shared.concurrency.queues.puts.verdicts import Portion
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.insurance import next_look


class Look:
    """The doubts of one lane about its putters; a look of insurance follows the last one."""

    __slots__ = ("_first", "_since", "asks", "at", "lost_place", "must_find")

    def __init__(self) -> None:
        """Begin without a doubt."""
        self.lost_place = False
        """Whether none of the putters is in line any more: all are put again."""
        self.asks = False
        """Whether an answer, any, is wanted: it says what became of an entry that is not known to wait."""
        self.must_find = False
        """Whether to find out which of the putters are still in line."""
        self.at = 0.0
        """When to find that out in any case, by the loop's clock."""
        self._first = b""
        """Key of the first putter, when that was found out last."""
        self._since = math.inf

    def begin(self, portion: Portion, putters: Putters, loop: asyncio.AbstractEventLoop) -> None:
        """A portion is composed: it answers what was asked, and looks where that is to be done."""
        if not putters.entries:
            self.at = self._since = math.inf
            self._first = b""
        elif not self.lost_place:  # else all are put again, wherever they are
            now = loop.time()
            portion.is_look = self.must_find or now >= self.at
            if portion.is_look:
                self._note_first(putters, now)
        self.must_find = self.asks = False

    def ended(self, portion: Portion, now: float) -> None:
        """The portion was answered, or refused."""
        if portion.is_look or self.at == math.inf:
            self.at = now + next_look(now - self._since)

    def _note_first(self, putters: Putters, now: float) -> None:
        first = next(iter(putters)).key
        if first != self._first:
            self._first, self._since = first, now


async def look_along(member: Membership, putters: Putters) -> set[bytes]:
    """Look along the line; keys of the putters that are not there: admitted, or taken out by somebody else."""
    asked, asked_at = {entry.key: entry for entry in putters}, boottime()
    there = keys_in(await member.call("onward", *asked))
    for key in there:
        asked[key].batch.out_at = asked_at
    return set(asked) - there
