"""Cancellation: what becomes of a message that somebody cancels, and how that is found out."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Final

from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.session.log import Log

log = Log("queues")

_LOOK_AGAIN: Final = 1.0
LONGEST_WAIT: Final = 366 * 86400.0
"""Seconds for which a caller waits for the outcome, at most."""
NAMED: Final = " "
"""Stands before a name where an id is asked for: no id begins so."""
CANCELLED: Final = "cancelled"
"""The reason of the outcome that submitters get."""


class Cancellation(Enum):
    """What became of a message that was cancelled. But for FINISHED and UNKNOWN, it never begins again."""

    REMOVED = "removed"
    """It was taken out of the queue. Any attempt that had begun before has ended."""
    ASKED = "asked"
    """It is marked. Whoever has it in hands is notified, and whoever meets it in the queue removes it."""
    STOPPED = "stopped"
    """It was in somebody's hands, and its handler was stopped; that of a thread goes on, and its result is dropped."""
    FINISHED = "finished"
    """It had ended already: it was acknowledged, or cancelled before."""
    UNKNOWN = "unknown"
    """It is a dead letter, or its id is not known: never put, not in the queue yet, or forgotten."""


_ENDED: Final = (Cancellation.REMOVED, Cancellation.STOPPED)


class _Waiter:
    """One call that waits for an outcome; of which message, it learns by its first answer."""

    __slots__ = ("key", "notified")

    def __init__(self) -> None:
        self.key: bytes | None = None
        self.notified = asyncio.Event()


class Canceller:
    """The cancelling half of a queue."""

    def __init__(self, operate: Callable[..., Awaitable[list[Any]]], member: Membership) -> None:
        """`operate` runs a script of the queue once, under a number; `member`: this process."""
        self._operate: Final = operate
        self._member: Final = member
        self._waiting: dict[_Waiter, None] = {}

    async def cancel(self, id_: str, patience: float) -> Cancellation:
        """Cancel a message, by its id, its key or, behind NAMED, its name as it is stored.

        Waits for what becomes of it, `patience` seconds at most.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        waiter = _Waiter()
        self._waiting[waiter] = None
        outcome = Cancellation.UNKNOWN
        try:
            while True:
                left, run_id, before = until - loop.time(), self._member.run_id, outcome
                waiter.notified.clear()
                outcome, waiter.key = await self._ask(id_, waits=left > 0)
                if id_[0] == NAMED and waiter.key:
                    id_ = waiter.key.decode()  # from here on its name is free, for another message
                if outcome is Cancellation.FINISHED and before in _ENDED:
                    outcome = before  # by this very call, which went again
                if outcome is Cancellation.ASKED and left > 0:
                    await self._notified(waiter, min(_LOOK_AGAIN, left))
                elif run_id == self._member.run_id:  # else the server may have come back with older data
                    break
        finally:
            del self._waiting[waiter]
        if outcome not in (Cancellation.FINISHED, Cancellation.UNKNOWN):
            log.info("a message was cancelled", queue=self._member.name, id=id_, outcome=outcome.value)
        return outcome

    def done(self, key: bytes) -> None:
        """Take note that there is an outcome for the message with this key."""
        for waiter in self._waiting:
            if waiter.key in (None, key):
                waiter.notified.set()

    async def _ask(self, id_: str, *, waits: bool) -> tuple[Cancellation, bytes]:
        """Mark it, or find out what became of it; an id that nobody knows may wait in line, to be looked along."""
        cursor, is_removed = b"0", False
        while True:
            word, cursor, key = await self._operate("cancel", id_, int(waits), cursor)
            is_removed = is_removed or word == b"removed"
            if int(cursor) == 0:
                return Cancellation.REMOVED if is_removed else Cancellation(word.decode()), key[1:]

    @staticmethod
    async def _notified(waiter: _Waiter, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await waiter.notified.wait()
        except TimeoutError:
            return
