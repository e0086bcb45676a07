"""Unread: what becomes of the entries that this process cannot read."""

import random
from collections import deque
from typing import Final

from shared.concurrency.queues.encoding.entry import RECEIPT, attempt_of
from shared.concurrency.queues.encoding.unreadable import Unreadable, Unsupported
from shared.concurrency.queues.takes.lane import TakeLane
from shared.concurrency.session.log import Log

log = Log("queues")

_SHORTEST_MS: Final = 1000
_DOUBLINGS: Final = 3
_MORE_MS: Final = 250
_LONGEST_MS: Final = 60_000
_LOOKED_AT: Final = 100
"""Entries of which so many at most decide how many are taken at a time."""
_MOST_NAMED: Final = 1000


class Unread:
    """Settles what cannot be read. What is broken is a dead letter; what only lacks its code here goes back.

    It goes back for those who have the class and the version, for `unread_for` seconds since the first time, by the
    server's clock; then it is a dead letter too. The delay has full jitter, below a limit that doubles from 1 s to
    8 s. So a message that old consumers take ten times in the course of a rolling deploy waits for half a minute,
    not for minutes. From the 33rd delivery on, after two minutes, the limit grows by 0.25 s with each to 60 s: old
    consumers that are alone with a backlog of new messages do not hand it to each other all the time.
    """

    def __init__(self, takes: TakeLane, queue: str, unread_for: float) -> None:
        """`unread_for`: seconds."""
        self._takes: Final = takes
        self._queue: Final = queue
        self._unread_ms: Final = max(1, round(unread_for * 1000))
        self._named: set[tuple[str | None, int]] = set()
        self._recent: deque[bool] = deque(maxlen=_LOOKED_AT)
        self.is_recent = False
        """Whether one of the last 100 entries that were noted went back."""
        self.is_most = False
        """Whether more than half of the last 100 did: it is worth taking one at a time only."""

    def settle(self, entry: bytes, error: Unreadable) -> bool:
        """Settle an entry that `error` says of why it cannot be read; returns whether it goes back."""
        receipt = entry[:RECEIPT]
        if not isinstance(error, Unsupported):
            self._takes.settle_unheard(entry, "dead", error.reason, error.report, trace=error.trace)
            if error.trace:
                log.traceback(error.__cause__ or error, "a message cannot be upgraded", queue=self._queue)
            return False
        delay = _delay_ms(attempt_of(receipt))
        self._takes.settle_unheard(entry, "later", f"{delay} {self._unread_ms} {error.reason}", error.report)
        if (error.type_name, error.version) not in self._named and len(self._named) < _MOST_NAMED:
            self._named.add((error.type_name, error.version))
            log.warning(
                "a message that this process cannot read goes back, for those who can",
                queue=self._queue, type=error.type_name, version=error.version, problem=error.report,
                unread_for=self._unread_ms / 1000,
            )  # fmt: skip
        return True

    def note(self, read: int, unread: int) -> None:
        """Take note of entries: so many were read, so many went back."""
        self._recent.extend([False] * read + [True] * unread)
        count = sum(self._recent)
        was_most, self.is_recent, self.is_most = self.is_most, count > 0, count > _LOOKED_AT / 2
        if not count:
            self._recent.clear()
        if self.is_most and not was_most:
            log.warning(
                "this process cannot read most messages: it takes one at a time. Upgrade it",
                queue=self._queue, unread=count, of=_LOOKED_AT,
            )  # fmt: skip
        elif was_most and not self.is_most:
            log.info("this process can read most messages again", queue=self._queue, unread=count, of=_LOOKED_AT)


def _delay_ms(attempt: int) -> int:
    """How long until it comes again: somewhere below a limit that grows with each delivery, and never at once."""
    return max(1, round(random.random() * _limit_ms(attempt)))  # noqa: S311  # no secret


def _limit_ms(attempt: int) -> int:
    return min(_LONGEST_MS, max(_SHORTEST_MS << min(attempt - 1, _DOUBLINGS), _MORE_MS * attempt))
