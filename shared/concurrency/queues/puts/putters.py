"""Putters: this process's entries that wait for room at the server, as asyncio's `_putters`."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from shared.concurrency.errors import IdConflict, QueueShutDown
from shared.concurrency.queues.puts.batch import OutgoingEntry


class Leavers:
    """Which entries wait no more and were not admitted, as the server answered."""

    def __init__(self, answered: str) -> None:
        """Read keys: as they are where the id is known with another body, behind `=` and `-` as below."""
        keys = answered.encode().split()
        self.repeated: Final = {key[1:] for key in keys if key[:1] == b"="}
        """The id is known: it is the same message."""
        self.shut_out: Final = {key[1:] for key in keys if key[:1] == b"-"}
        """A shutdown took them out."""
        self.conflicting: Final = {key for key in keys if key[:1] not in b"=-"}


_NOBODY: Final = Leavers("")


class Putters:
    """Entries that wait for room, in the order of their numbers, which is the order in which they are admitted."""

    def __init__(self) -> None:
        """Begin with none."""
        self.entries: dict[int, OutgoingEntry] = {}
        """By number. A field: every put asks whether there are any."""
        self.withdrawn: list[OutgoingEntry] = []
        """Those whose callers were cancelled: the next call takes them out of the line."""
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

    def discard(self, entry: OutgoingEntry) -> bool:
        """Take an entry off; whether it was there."""
        if entry not in self:
            return False
        del self.entries[entry.sequence]
        self.bytes -= len(entry.packed)
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
        for entry in self:
            if entry.key in leavers.conflicting or entry.key in leavers.shut_out:
                self.discard(entry)
                entry.batch.fail(conflict() if entry.key in leavers.conflicting else was_shut_down())
            elif entry.sequence > last:
                break
            elif not entry.batch.withdrawn:
                self.discard(entry)
                entry.batch.is_new = entry.key not in leavers.repeated
                self.admitted += entry.batch.is_new
                entry.batch.decide(admitted=True)
        return self.admit(self._upto)

    def resync_needed(self) -> None:
        """Somebody may have taken some out: until the next answer, which says whom, no notification admits any."""
        self._is_current = False

    def holds_any(self, keys: AbstractSet[bytes]) -> bool:
        """Whether one of these still waits here."""
        return bool(keys) and any(entry.key in keys for entry in self)

    def fail(self, error: Exception) -> None:
        """Nobody who waits gets in."""
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
