"""Putters: this process's entries that wait for room at the server, as asyncio's `_putters`."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from shared.concurrency.errors import IdConflict, MessageCancelled, QueueShutDown
from shared.concurrency.queues.puts.batch import OutgoingEntry, sequence_of


class Leavers:
    """Which entries wait no more and were not admitted, as the server answered."""

    def __init__(self, answered: str) -> None:
        """Read keys: as they are where the id is known with another body, behind `=`, `-` and `!` as below."""
        keys = answered.encode().split()
        self.repeated: Final = {key[1:] for key in keys if key[:1] == b"="}
        """The id is known: it is the same message."""
        self.shut_out: Final = {key[1:] for key in keys if key[:1] == b"-"}
        """A shutdown took them out."""
        self.cancelled: Final = {key[1:] for key in keys if key[:1] == b"!"}
        """Somebody cancelled them."""
        self.conflicting: Final = {key for key in keys if key[:1] not in b"=-!"}


_NOBODY: Final = Leavers("")


class LetIn:
    """Entries that were let in by their keys, as far as the server and this process do not both know it."""

    __slots__ = ("noted", "unconfirmed")

    def __init__(self) -> None:
        """Begin with none."""
        self.noted: set[bytes] = set()
        """Of which a notification was received, and which are not decided: an answer says what became of their ids."""
        self.unconfirmed: list[bytes] = []
        """Which the next call confirms, for the server remembers them until then."""


class Putters:
    """Entries that wait for room, in the order of their numbers, which is the order in which they are admitted."""

    def __init__(self) -> None:
        """Begin with none."""
        self.entries: dict[int, OutgoingEntry] = {}
        """By number. A field: every put asks whether there are any."""
        self.of_flow: Final[Counter[bytes]] = Counter()
        """How many there are of each flow."""
        self.withdrawn: list[OutgoingEntry] = []
        """Those whose callers were cancelled: the next call takes them out of the line."""
        self.let_in: Final = LetIn()
        """Those that were let in by their keys, out of the order of numbers."""
        self.refused = ""
        """Of whom we were told that they left the line: the next call says so, and the server forgets them."""
        self.admitted = 0
        """How many went in that are not counted yet."""
        self._upto = 0
        self._is_current = True
        self.bytes = 0

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[OutgoingEntry]:
        return iter(list(self.entries.values()))

    def __contains__(self, entry: OutgoingEntry) -> bool:
        return entry.sequence in self.entries

    def add(self, entry: OutgoingEntry) -> None:
        """Note that an entry waits at the server."""
        if entry not in self:
            self.entries[entry.sequence] = entry
            self.bytes += len(entry.packed)
            self.of_flow[entry.flow] += 1

    def discard(self, entry: OutgoingEntry) -> bool:
        """Take an entry off; whether it was there."""
        if entry not in self:
            return False
        del self.entries[entry.sequence]
        self.bytes -= len(entry.packed)
        self.of_flow[entry.flow] -= 1
        if not self.of_flow[entry.flow]:
            del self.of_flow[entry.flow]
        return True

    def admit(self, upto: int) -> bool:
        """Entries up to this number wait no more; whether the server must be asked what became of one."""
        self._upto = max(self._upto, upto)
        if not self._is_current:
            return True
        ask = False
        for entry in self:
            if entry.sequence > upto:
                break
            if entry.has_flow:
                continue  # it is let in by its key
            if entry.has_id:
                ask = True  # its id may have become known with another body
            elif not entry.batch.withdrawn:  # else the answer to its withdrawal decides
                self.discard(entry)
                self.admitted += 1
                entry.batch.decide(admitted=True)
        return ask

    def answered(self, last: int, refused: bytes) -> bool:
        """As `admit`, by an answer, which knows all that happened; notifications may be further already.

        `refused`: who left the line, as Leavers reads it.
        """
        self._is_current = True
        self.refused = refused.decode()
        if not self.entries:
            return False
        leavers = Leavers(self.refused) if refused else _NOBODY
        self._fail_cancelled(leavers.cancelled)
        for entry in self:
            if entry.key in leavers.conflicting or entry.key in leavers.shut_out:
                self.discard(entry)
                entry.batch.fail(conflict() if entry.key in leavers.conflicting else was_shut_down())
            elif entry.has_flow:
                if entry.key in leavers.repeated or entry.key in self.let_in.noted:
                    self._let_in(entry, is_new=entry.key not in leavers.repeated)
            elif entry.sequence > last:
                break
            elif not entry.batch.withdrawn:
                self.discard(entry)
                entry.batch.is_new = entry.key not in leavers.repeated
                self.admitted += entry.batch.is_new
                entry.batch.decide(admitted=True)
        return self.admit(self._upto)

    def _fail_cancelled(self, keys: AbstractSet[bytes]) -> None:
        """These were cancelled, wherever they stood among the others."""
        for entry in self if keys else ():
            if entry.key in keys:
                self.discard(entry)
                entry.batch.fail(MessageCancelled("the message was cancelled while this put waited for room"))

    def admit_keys(self, keys: AbstractSet[bytes], *, is_under_way: bool) -> bool:
        """These entries were let in; whether the server must be asked what became of one.

        `is_under_way`: a call is, which may carry them again, and whose answer may say that they wait: it decides.
        """
        ask = False
        for key in keys:
            entry = self.entries.get(sequence_of(key))
            if entry is None:
                continue
            self.let_in.noted.add(entry.key)
            if entry.may_be_known or is_under_way:
                ask = True  # as `admit`, or another of its name waited
            elif not entry.batch.withdrawn:
                self._let_in(entry, is_new=True)
        return ask

    def _let_in(self, entry: OutgoingEntry, *, is_new: bool) -> None:
        self.confirm(entry.key)
        if not entry.batch.withdrawn:
            self.discard(entry)
            entry.batch.is_new = is_new
            entry.batch.decide(admitted=True)

    def confirm(self, key: bytes) -> None:
        """Have the server know that we know that this one was let in."""
        self.let_in.noted.discard(key)
        self.let_in.unconfirmed.append(key)

    def resync_needed(self) -> None:
        """Somebody may have taken some out: until the next answer, which says whom, no notification admits any."""
        self._is_current = False

    def forget_what_was_told(self) -> None:
        """Another run of the server may know nothing of what was let in: its answers say what went in."""
        self._upto = 0
        self.let_in.noted.clear()

    def holds_any(self, keys: AbstractSet[bytes]) -> bool:
        """Whether one of these still waits here."""
        return bool(keys) and any(entry.key in keys for entry in self)

    def shut_out(self, error: Exception) -> bool:
        """Nobody who waits gets in any more; whether there are entries of which only the server knows what became.

        Those go in by their keys, and the notification that they did may be lost.
        """
        for entry in self:
            if not entry.has_flow:
                self.discard(entry)
                entry.batch.fail(error)
        return bool(self.entries)

    def fail(self, error: Exception) -> None:
        """Nobody who waits gets in."""
        self.let_in.noted.clear()
        for entry in self:
            self.discard(entry)
            entry.batch.fail(error)


def conflict() -> IdConflict:
    """The refusal of a known id."""
    return IdConflict("this id is known with another body: a new message needs a new id")


def shut_down() -> QueueShutDown:
    """The refusal of a queue that takes nothing."""
    return QueueShutDown("the queue is shut down: reopen() ends that")


def was_shut_down() -> QueueShutDown:
    """The refusal of a put that waited at a shutdown, though the queue may be open again."""
    return QueueShutDown("the queue was shut down while this put waited")
