"""What one call of puts carries, and what the server's verdict means for each entry of it."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from shared.concurrency.errors import QueueFull
from shared.concurrency.queues.encoding.once import any_may_be_known
from shared.concurrency.queues.puts.batch import OutgoingEntry
from shared.concurrency.queues.puts.putters import Putters, conflict, shut_down
from shared.concurrency.session.clock import boottime


@dataclass(slots=True)
class Portion:
    """What one call carries."""

    session_id: str
    run_id: str
    """The run of the server that it was composed for."""
    entries: list[OutgoingEntry] = field(default_factory=list)
    withdrawn: list[OutgoingEntry] = field(default_factory=list)
    confirmed: list[bytes] = field(default_factory=list)
    """Keys of those that we know to be let in by their keys, for the server to forget."""
    may_wait: bool = True
    again: bool = False
    """Whether the entries waited already, and lost their place with the session they waited under."""
    is_look: bool = False
    """Whether to query first which of the putters still wait at the server."""
    missing: AbstractSet[bytes] = frozenset()
    """Keys of those that are not."""
    composed_at: float = field(default_factory=boottime)
    """By the local boot-time clock: what its answer finds not to be in was not in until then."""

    def note_out(self, entry: OutgoingEntry, last: int) -> None:
        """Note that an entry was not in before this call, unless it may have been; `last`: the last from the line."""
        if not self.again or (entry.sequence > last and not entry.has_flow):
            entry.batch.out_at = self.composed_at

    def words(self, number: int, refused: str, *, with_entries: bool = True) -> tuple[bytes | str | int, ...]:
        """As the script takes it, under this number; `refused`: those we know of, for the server to forget."""
        packed = [entry.packed for entry in self.entries] if with_entries else []
        withdrawn = b"".join([entry.key for entry in self.withdrawn]) if self.withdrawn else b""
        return (
            self.session_id,
            number,
            int(self.may_wait),
            int(any_may_be_known(packed)),
            int(self.again),
            refused,
            b"".join(self.confirmed) if self.confirmed else b"",
            withdrawn,
            *packed,
        )


@dataclass(slots=True)
class Aftermath:
    """What the verdicts leave to do."""

    lost_place: bool = False
    """An entry waits under a session that is over: all have to be put again, in order."""
    withdrawn: list[OutgoingEntry] = field(default_factory=list)
    """Entries that wait, though their callers were cancelled meanwhile."""
    admitted: int = 0
    """How many went in."""
    unsent: list[OutgoingEntry] = field(default_factory=list)
    """Entries that may not wait, and met the end of the session: they are sent again, under the next."""


def admit_all(portion: Portion) -> None:
    """Decide for all, none of which waited: the usual answer, so without a function for each."""
    composed_at = portion.composed_at
    for entry in portion.entries:
        batch = entry.batch
        batch.out_at = composed_at
        batch.admitted += 1
        batch.undecided -= 1
        if batch.undecided <= 0:
            batch.entries = ()
            if not batch.done.done():
                batch.done.set_result(None)


def decide_each(portion: Portion, putters: Putters, verdicts: list[Any], last: int) -> Aftermath:
    """Decide for each entry of a call.

    `verdicts`: letters, and to how many entries each applies; `last`: the number of the entry admitted last.
    """
    aftermath = Aftermath()
    letters = iter([letter for letter, n in zip(verdicts[::2], verdicts[1::2], strict=True) for _ in range(n)])
    for entry, letter in zip(portion.withdrawn, letters, strict=False):
        # Where the same call puts it again, that verdict counts.
        if (entry.batch.withdrawn or not portion.again) and putters.discard(entry):
            by_number = letter == b"x" and entry.sequence <= last and not entry.has_flow
            was_admitted = letter == b"a" or by_number
            aftermath.admitted += was_admitted
            entry.batch.decide(admitted=was_admitted)
            if letter == b"a":
                putters.confirm(entry.key)
    for entry, letter in _undecided(portion, putters, letters):
        if letter == b"o" and not entry.batch.may_wait:
            if entry.batch.withdrawn:
                entry.batch.decide(admitted=False)
            else:
                aftermath.unsent.append(entry)
        elif letter in (b"q", b"o"):
            putters.add(entry)
            entry.batch.is_new, entry.batch.out_at = None, portion.composed_at
            aftermath.lost_place |= letter == b"o"
            if entry.batch.withdrawn:
                aftermath.withdrawn.append(entry)
        else:
            if putters.discard(entry) and entry.has_flow and letter == b"a":
                putters.confirm(entry.key)
            aftermath.admitted += letter == b"a"
            _decide(entry, letter)
            portion.note_out(entry, last)
    return aftermath


def _undecided(portion: Portion, putters: Putters, letters: Iterator[bytes]) -> Iterable[tuple[OutgoingEntry, bytes]]:
    """The entries and what became of each, without those that a notification decided while the call was on its way."""
    verdicts = zip(portion.entries, letters, strict=True)
    return [verdict for verdict in verdicts if verdict[0] in putters] if portion.again else verdicts


def _decide(entry: OutgoingEntry, letter: bytes) -> None:
    if letter in (b"a", b"k", b"r"):
        entry.batch.is_new = letter == b"a"
        entry.batch.decide(admitted=True)
    elif letter == b"c":
        entry.batch.fail(conflict())
    elif letter == b"s":
        entry.batch.fail(shut_down())
    else:
        entry.batch.fail(QueueFull("the queue is full: `put` would wait for room"))
