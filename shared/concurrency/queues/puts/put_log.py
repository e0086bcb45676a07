"""What the log says of puts, at debug: so that all of a message's life is found by its id."""

from collections.abc import Iterable

from shared.concurrency.queues.encoding.entry import read
from shared.concurrency.queues.puts.batch import OutgoingEntry
from shared.concurrency.queues.puts.putters import Putters
from shared.concurrency.session.log import Log

log = Log("queues")

_NO_STAMP = b"0" * 16


def log_answered(queue: str, entries: Iterable[OutgoingEntry], putters: Putters) -> None:
    """Log what an answer said of these entries; those that were refused their callers know of."""
    for entry in entries:
        done = entry.batch.done
        is_refused = done.done() and not done.cancelled() and done.exception() is not None
        if entry in putters or not is_refused:
            text = "a put waits for room" if entry in putters else "a message is put"
            stored = read(_NO_STAMP + entry.packed)
            log.debug(text, queue=queue, id=stored.id, type=stored.type_name)
