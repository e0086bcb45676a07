"""Life: one session of a process at one queue, from its registration to its deadline."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.concurrency.queues.membership.keys import leased_key, queue_keys
from shared.concurrency.session.clock import boottime, margin
from shared.concurrency.session.log import Log

log = Log("queues")


@dataclass(slots=True, eq=False)
class Life:
    """A session. One that passed its deadline is over for ever (rule 8); the process goes on under another."""

    name: Final[str]
    """Of the queue."""
    owner: Final[str]
    ordinal: Final[int]
    """Which session of its owner it is there, from 1."""
    session_id: Final[str]
    keys: Final[dict[str, bytes]]
    """The queue's keys, and that of what this session holds."""
    ttl: Final[float]
    is_fresh: bool = True
    """Whether the queue does not know it yet: there is nothing to renew, and nothing to be over."""
    is_left: bool = False
    """Whether we have ended it ourselves: a call that was on its way is answered then that it is over."""
    deadline: float = math.inf
    """Until when it may be relied on, by the local boot-time clock."""
    lost_before: int = 0
    """How many deliveries the lives before it lost."""

    @classmethod
    def first(cls, name: str, owner: str, ttl: float) -> "Life":
        """The first session of a process at a queue; the queue does not know it yet."""
        return cls._begin(name, owner, 1, queue_keys(name), ttl)

    def next(self, lost: int) -> "Life":
        """The session that follows this one, which lost so many deliveries; the queue does not know it yet."""
        following = self._begin(self.name, self.owner, self.ordinal + 1, self.keys, self.ttl)
        following.lost_before = self.lost_before + lost
        return following

    @classmethod
    def _begin(cls, name: str, owner: str, ordinal: int, keys: dict[str, bytes], ttl: float) -> "Life":
        session_id = f"{owner}.{ordinal}.{round(ttl * 1000)}"
        return cls(name, owner, ordinal, session_id, {**keys, "leased": leased_key(name, session_id)}, ttl)

    def registered(self, sent_at: float, left: float) -> None:
        """The queue knows it, for `left` seconds counted from before the call was sent."""
        if self.is_fresh:
            self.deadline = sent_at + left - margin(self.ttl)
        self.is_fresh = False

    def renewed(self, sent_at: float, left: float) -> None:
        """Put its deadline off; a renewal that was overtaken by another changes nothing."""
        if not self.is_fresh:
            self.deadline = max(self.deadline, sent_at + left - margin(self.ttl))

    def report_left(self, count: int, problem: str) -> None:
        """Log how many deliveries it leaves leased, and until when: the server did not take them back."""
        until = datetime.now(UTC) + timedelta(seconds=self.deadline + margin(self.ttl) - boottime())
        log.error(
            "deliveries stay leased, for the server did not take them back: whoever takes recovers them after this",
            queue=self.name, count=count, until=until.isoformat(timespec="seconds"), session=self.session_id, problem=problem,
        )  # fmt: skip
