"""What a put lane carries: outgoing entries, in the batches that callers wait for."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from shared.concurrency.queues.encoding.entry import KEY, flow_of_entry, has_flow, has_id
from shared.concurrency.queues.encoding.once import is_once
from shared.concurrency.session.futures import reject, resolve

T = TypeVar("T")

MOST_ENTRIES: Final = 500
"""What one process has among the putters, and one call carries, at most (rule 2)."""
MOST_BYTES: Final = 1 << 20
_OWNER: Final = 12
PORTION: Final = 250
"""What put_many hands over at a time; two portions are under way, so that one always waits at the server."""


class Batch:
    """Entries that one caller waits for."""

    __slots__ = ("admitted", "done", "entries", "is_new", "may_wait", "out_at", "undecided", "withdrawn")

    def __init__(self, entries: Sequence["OutgoingEntry"], done: asyncio.Future[None], *, may_wait: bool) -> None:
        """Gather the entries of one put, or a portion of put_many."""
        self.entries = entries
        """Until all are decided: they lead here, and would keep each other alive until the garbage collector comes."""
        self.may_wait = may_wait
        self.undecided = len(entries)
        self.admitted = 0
        self.withdrawn = False
        """Whether its caller was cancelled: what has not gone in is taken back."""
        self.is_new: bool | None = True
        """Of one entry: whether it was put (True), or its id was known or one of its name waited (False).

        None: nobody said which."""
        self.out_at = 0.0
        """Of one entry: until when it was not in for certain, by the local boot-time clock; 0 where nobody knows."""
        # A refusal is its exception.
        self.done = done
        for entry in entries:
            entry.batch = self

    def decide(self, *, admitted: bool) -> None:
        """Count one entry as decided."""
        self.undecided -= 1
        self.admitted += admitted
        if self.undecided <= 0:
            self.entries = ()
            resolve(self.done)

    def fail(self, error: Exception) -> None:
        """Count one entry as refused."""
        self.undecided -= 1
        if self.undecided <= 0:
            self.entries = ()
        reject(self.done, error)


class OutgoingEntry:
    """One entry that is not in the queue yet."""

    __slots__ = ("batch", "packed", "sequence")
    batch: Batch

    def __init__(self, sequence: int, packed: bytes) -> None:
        """`sequence`: its number among the puts of this process; `packed`: what is sent."""
        self.sequence = sequence
        self.packed = packed

    @property
    def key(self) -> bytes:
        """The message's own key."""
        return self.packed[:KEY]

    @property
    def has_id(self) -> bool:
        """Whether the caller named it."""
        return has_id(self.packed)

    @property
    def may_be_known(self) -> bool:
        """Whether it may be let in and add nothing: the caller named it, or it is one of which one is to wait."""
        return has_id(self.packed) or (has_flow(self.packed) and is_once(self.packed))

    @property
    def has_flow(self) -> bool:
        """Whether it says something of its way: then it is not let in in the order of numbers."""
        return has_flow(self.packed)

    @property
    def flow(self) -> bytes:
        """Its priority and share; empty for the default one."""
        return flow_of_entry(self.packed)


def sequence_of(key: bytes) -> int:
    """The number of an entry among the puts of its process, by its key."""
    return int(key[_OWNER:])


def portions(items: Iterable[T], make: Callable[[T], OutgoingEntry]) -> Iterator[list[OutgoingEntry]]:
    """Make entries, in portions of what one call carries; when one of them raises, those before it come first."""
    portion: list[OutgoingEntry] = []
    size = 0
    try:
        for item in items:
            entry = make(item)
            portion.append(entry)
            size += len(entry.packed)
            if len(portion) >= PORTION or size >= MOST_BYTES // 2:
                yield portion
                portion, size = [], 0
    except Exception:
        if portion:
            yield portion
        raise
    if portion:
        yield portion
