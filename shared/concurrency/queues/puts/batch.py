"""What a put lane carries: entries on their way, in the batches that callers wait for."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from shared.concurrency.queues.encoding.entry import KEY, has_id

T = TypeVar("T")

MOST_ENTRIES: Final = 500
"""What one process has in line, and one call carries, at most (rule 2)."""
MOST_BYTES: Final = 1 << 20
PORTION: Final = 250
"""What put_many hands over at a time; two portions are under way, so that one is always in line."""


class Batch:
    """Entries that one caller waits for."""

    __slots__ = ("admitted", "done", "entries", "given_up", "is_new", "may_wait", "undecided")

    def __init__(self, entries: list["Entry"], done: asyncio.Future[None], *, may_wait: bool) -> None:
        """Gather the entries of one put, or a portion of put_many."""
        self.entries = entries
        self.may_wait = may_wait
        self.undecided = len(entries)
        self.admitted = 0
        self.given_up = False
        self.is_new: bool | None = True
        """Of one entry: whether it was put, or its id was known; None where nobody said, for it went in from the line."""
        # A refusal is its exception.
        self.done = done
        for entry in entries:
            entry.batch = self

    def decide(self, *, admitted: bool) -> None:
        """Count one entry as decided."""
        self.undecided -= 1
        self.admitted += admitted
        if self.undecided <= 0 and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        """Count one entry as refused."""
        self.undecided -= 1
        if not self.done.done():
            self.done.set_exception(error)
            # Whoever gave up does not look.
            self.done.exception()


class Entry:
    """One entry on its way."""

    __slots__ = ("batch", "sequence", "tail")
    batch: Batch

    def __init__(self, sequence: int, tail: bytes) -> None:
        """Keep what is sent."""
        self.sequence = sequence
        self.tail = tail

    @property
    def key(self) -> bytes:
        """The message's own key."""
        return self.tail[:KEY]

    @property
    def has_id(self) -> bool:
        """Whether the caller named it."""
        return has_id(self.tail)

    @property
    def size(self) -> int:
        """How many bytes travel."""
        return len(self.tail)


def portions(items: Iterable[T], make: Callable[[T], Entry]) -> Iterator[list[Entry]]:
    """Make entries, in portions of what one call carries; when one of them raises, those before it come first."""
    portion: list[Entry] = []
    size = 0
    try:
        for item in items:
            entry = make(item)
            portion.append(entry)
            size += len(entry.tail)
            if len(portion) >= PORTION or size >= MOST_BYTES // 2:
                yield portion
                portion, size = [], 0
    except Exception:
        if portion:
            yield portion
        raise
    if portion:
        yield portion
