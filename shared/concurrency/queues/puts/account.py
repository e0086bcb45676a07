"""PutAccount: what a process says of its puts: how many went in, how long they took and, at debug, which they were."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from shared.concurrency.queues.encoding.entry import read
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.membership.spans import spans_of
from shared.concurrency.queues.puts.batch import Batch, OutgoingEntry
from shared.concurrency.queues.puts.putters import Putters
from shared.concurrency.queues.puts.spans import PutSpans
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.histogram import Histogram
from shared.concurrency.session.log import Log

log = Log("queues")

_NO_STAMP: Final = b"0" * 16


class PutAccount:
    """Counts once a call; what nobody wants to know costs nothing."""

    def __init__(self, member: Membership, putters: Putters) -> None:
        """`putters`: those of this process."""
        self.tally: Final = member.calls.tally
        """What the process counts."""
        self._queue: Final = member.name
        self._putters: Final = putters
        spans = spans_of(member.name, member.owner)
        self.spans: Final = None if spans is None else PutSpans(spans)
        """What traces puts; None where nobody does."""

    def begins(self, batch: Batch, waits: Mapping[str, Histogram]) -> None:
        """Measure how long a put takes until it is in; `waits`: the tally's."""
        batch.done.add_done_callback(partial(_measure, waits[self._queue], boottime()))

    def count(self, admitted: int = 0) -> None:
        """Count what went in: so many, and those of the putters that are not counted yet."""
        admitted += self._putters.admitted
        self._putters.admitted = 0
        if admitted:
            self.tally.add("messages_put", self._queue, admitted)

    def log(self, entries: Sequence[OutgoingEntry], *, again: bool = False) -> None:
        """Log at debug what an answer said of these, so that all of a message is found by its id.

        Of those that were refused their callers know. `again`: they have waited before.
        """
        if not entries or not log.is_debug:
            return
        for entry in entries:
            done = entry.batch.done
            is_refused = done.done() and not done.cancelled() and done.exception() is not None
            if entry in self._putters or not is_refused:
                stored = read(_NO_STAMP + entry.packed)
                fields = {"queue": self._queue, "id": stored.id, "type": stored.type_name}
                log.debug("a put waits for room" if entry in self._putters else "a message is put", **fields)
                if entry in self._putters and not again:
                    done.add_done_callback(partial(_waited, fields))


def _measure(waits: Histogram, began: float, done: "asyncio.Future[None]") -> None:
    if not done.cancelled() and done.exception() is None:
        waits.observe(boottime() - began)


def _waited(fields: dict[str, str | None], done: "asyncio.Future[None]") -> None:
    """A put that waited for room has ended; of put_many the whole portion has."""
    if done.cancelled():
        log.debug("a put that waited is withdrawn", **fields)
    elif (error := done.exception()) is not None:
        log.debug("a put that waited has failed", **fields, problem=str(error))
    else:
        log.debug("a message is put", **fields)
