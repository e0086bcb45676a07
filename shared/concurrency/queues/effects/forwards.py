"""Forwards: puts that travel with an acknowledgement, and wait for room in another queue."""

import asyncio
import base64
import itertools
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.queues.encoding.entry import KEY, keys_in
from shared.concurrency.queues.encoding.trace_headers import pack_trace, with_trace
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.membership.spans import QueueSpans, spans_of
from shared.concurrency.session.log import Log

log = Log("queues")

_LOOK_AGAIN: Final = 1.0
_MOST: Final = 500
"""Keys that one look asks for."""


class Awaiting(Protocol):
    """Whoever forwarded something into another queue, and waits until it is admitted there."""

    def admitted(self, key: bytes, *, whole: bool) -> None:
        """The entry with this key has been admitted; a fold was unfolded, or has been admitted as a whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Entries that wait at one place together."""

    key: bytes
    entries: list[bytes]


class Destination:
    """This process's part in a queue, as far as acknowledgements of other queues put into it."""

    def __init__(self, member: Membership) -> None:
        """Begin with nothing that waits."""
        self.member: Final = member
        self.waiting: dict[bytes, Awaiting] = {}
        """Keys of entries that wait for room in this queue, and who forwarded them."""
        # Nobody owns a forwarded entry: its key says so by a plus where others have their owner.
        self._owner = b"+" + base64.b32encode(secrets.token_bytes(7)).lower()[:11]
        self._numbers = itertools.count(1)
        self._spans: Final = spans_of(member.name, member.owner)

    def entry(self, middle: bytes, body: bytes) -> bytes:
        """An outgoing entry that nobody owns."""
        entry = b"%b%010d%b%b" % (self._owner, next(self._numbers), middle, body)
        return entry if self._spans is None else _traced(entry, self._spans)

    def fold(self, entries: list[bytes]) -> Fold:
        """A fold of these entries, which nobody owns either: its key says by an asterisk what it is."""
        return Fold(b"*%b%010d" % (self._owner[1:], next(self._numbers)), entries)

    def admitted(self, key: bytes) -> None:
        """Notify whoever forwarded the entry with this key: it has been admitted. ` all` stands behind a whole fold."""
        key, _, more = key.partition(b" ")
        awaiting = self.waiting.pop(key, None)
        if awaiting is not None:
            awaiting.admitted(key, whole=more == b"all")


def _traced(entry: bytes, spans: QueueSpans) -> bytes:
    """An entry with the context of a span of its own, below that of the delivery with whose acknowledgement it goes."""
    span = spans.sends("forward", {"messaging.message.id": entry[:KEY].decode()})
    span.end()
    return with_trace(entry, pack_trace(span.context), at=KEY)


class Forwards:
    """The entries that the acknowledgements of one queue forwarded, and that wait for room elsewhere."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """Begin with none; `changed` is called when one has been admitted."""
        self._changed = changed
        self._waiting: dict[bytes, Destination] = {}
        self._folds: dict[bytes, Fold] = {}
        self._folded = 0
        self._watch: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting) + self._folded

    def add(self, forwarded: Iterable[tuple[bytes, Destination]]) -> None:
        """Wait until these entries, by key, are admitted."""
        for key, destination in forwarded:
            self._wait(key, destination)
        if self._waiting and (self._watch is None or self._watch.done()):
            self._watch = asyncio.get_running_loop().create_task(self._look_again(), name="weir-forwards")

    def add_fold(self, fold: Fold, destination: Destination) -> None:
        """Wait until this fold is unfolded, and then for each of its entries."""
        self._folds[fold.key] = fold
        self._folded += len(fold.entries) - 1
        self.add([(fold.key, destination)])

    def _wait(self, key: bytes, destination: Destination) -> None:
        self._waiting[key] = destination
        destination.waiting[key] = self

    def admitted(self, key: bytes, *, whole: bool = False) -> None:
        """One of our forwarded puts was admitted, or a fold of them was unfolded; `whole`: or admitted."""
        destination = self._waiting.pop(key, None)
        if destination is None:
            return
        if fold := self._folds.pop(key, None):
            self._folded -= len(fold.entries) - 1
            for entry in () if whole else fold.entries:
                self._wait(entry[:KEY], destination)
        self._changed()

    async def stop(self) -> None:
        """Wait for nothing any more."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
        for key, destination in self._waiting.items():
            destination.waiting.pop(key, None)
        self._waiting.clear()
        self._folds.clear()
        self._folded = 0

    async def _look_again(self) -> None:
        """Ask once a second while anything waits: notifications that were sent while we were cut off are lost."""
        while self._waiting:
            await asyncio.sleep(_LOOK_AGAIN)
            problems: dict[str, str] = {}
            for destination in dict.fromkeys(self._waiting.values()):
                keys = [key for key, where in self._waiting.items() if where is destination][:_MOST]
                member = destination.member
                try:
                    still = keys_in(await member.call("onward", *keys))
                except ConcurrencyError as error:
                    problems[member.name] = str(error)
                    continue
                for key in keys:
                    if key not in still:
                        destination.waiting.pop(key, None)
                        self.admitted(key)
            for name, problem in problems.items():
                # Nothing is taken meanwhile: whoever looks for the reason finds it.
                log.warning("cannot see whether room has appeared", queue=name, problem=problem)
