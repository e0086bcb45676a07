"""Demand: what the callers and the workers of one process want of a queue, and when a call is due for it."""

import asyncio
from typing import Final, NamedTuple

from shared.concurrency.queues.takes.getters import Getter, Getters
from shared.concurrency.queues.takes.idle import Idle
from shared.concurrency.queues.takes.resync import Resync

_MOST_BYTES: Final = 1 << 20
_MOST_WANTED: Final = 1000


class Wish(NamedTuple):
    """What one call takes, and for whom. It is formed anew each time that the call is sent."""

    want: int
    may_idle: int
    """Whether the session is registered as idle when there is less than that; 2: a put may hand it a message, too."""
    asked: list[Getter]
    doubts: int
    """How many doubts the answer resolves."""
    is_resync: bool
    in_parts: bool
    """Whether a resync would have to say very much: it goes by name."""
    named: list[bytes] | None
    """What goes back by name; None where nothing does, or it is to be read first."""


class Demand:
    """Who waits for messages, and whether the queue knows that."""

    __slots__ = ("getters", "idle", "is_backpressured")

    def __init__(self) -> None:
        """Begin with nobody."""
        self.getters: Final = Getters()
        self.idle: Final = Idle()
        self.is_backpressured = False
        """Whether nothing is to be taken: too much that was forwarded waits for room, or for an answer."""

    def due(self, loop: asyncio.AbstractEventLoop, *, settles: bool) -> float | None:
        """When a call is due, as Lane.due; `settles`: whether there is something to be settled along with it.

        The clock of `loop` is read only where it counts.
        """
        idle, getters = self.idle, self.getters
        if self.is_backpressured:
            # Nothing is taken; a registration as idle is called off.
            return 0 if idle.is_registered or settles else None
        if idle.is_registered and idle.takes_handoffs and not getters.takers:
            return 0  # who took was drained: no put may hand us its message any more
        is_hungry = getters.is_hungry()
        if settles and (is_hungry or not getters.takers):
            return 0
        if idle.is_registered and (seconds := idle.look_again_at - loop.time()) > 0:
            return seconds if getters else None
        return 0 if is_hungry or getters.waiting() else None

    def wish(self, resync: Resync, *, is_current: bool, in_parts: bool) -> Wish:
        """What all who wait want together; nothing while nothing may be taken, or when the session is over.

        `in_parts`: a resync goes by name.
        """
        getters = self.getters
        asked = getters.waiting()
        takers = 0
        for taker in getters.takers:
            takers += taker.pace.wants()
        want = min(_MOST_WANTED, len(asked) + takers) if is_current and not self.is_backpressured else 0
        may_wait = takers > 0 or any(getter.may_wait for getter in asked)
        may_idle = 0 if not want else 2 if getters.are_idle() else int(may_wait)
        is_resync, doubts, named = resync.doubts != resync.resolved, resync.doubts, None
        if is_resync and in_parts:
            named = resync.named()
            if named is None or not resync.is_last(named):
                # What goes back comes first again: nothing is taken before.
                doubts, want, may_idle, asked = resync.resolved, 0, 0, []
        return Wish(want, may_idle, asked, doubts, is_resync, in_parts, named)

    def answered(self, wish: Wish, entries: list[bytes], seconds: float, now: float) -> None:
        """Take note of whether the call has registered the session as idle, which looks in `seconds` then."""
        is_idle = wish.may_idle > 0 and wish.want > len(entries) and sum(map(len, entries)) < _MOST_BYTES
        idle = self.idle
        idle.is_registered = is_idle
        idle.takes_handoffs = is_idle and wish.may_idle == 2
        idle.look_in(seconds, now, has_taken=bool(entries))
