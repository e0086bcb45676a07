"""Putters: this process's entries that wait for room at the server, as asyncio's `_putters`."""

from collections.abc import Iterator
from typing import Final

from shared.concurrency.errors import IdConflict, QueueShutDown
from shared.concurrency.queues.puts.batch import OutgoingEntry


class KnownInLine:
    """Of which entries in line the id had become known by the time they were let in, as the server told it."""

    def __init__(self, told: str) -> None:
        """Read the keys: plain where the id is known with another body, behind `=` where it is the same message."""
        keys = told.split()
        self.conflicting: Final = {key.encode() for key in keys if key[0] != "="}
        self.repeated: Final = {key[1:].encode() for key in keys if key[0] == "="}


class Putters:
    """Entries that wait for room, in the order of their numbers, which is the order in which they are admitted."""

    def __init__(self) -> None:
        """Begin with none."""
        self._entries: dict[int, OutgoingEntry] = {}
        self._upto = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[OutgoingEntry]:
        return iter(list(self._entries.values()))

    def __contains__(self, entry: OutgoingEntry) -> bool:
        return entry.sequence in self._entries

    def add(self, entry: OutgoingEntry) -> None:
        """Note that an entry waits at the server."""
        if entry not in self:
            self._entries[entry.sequence] = entry
            self.bytes += len(entry.packed)

    def discard(self, entry: OutgoingEntry) -> bool:
        """Take an entry off; whether it was there."""
        if entry not in self:
            return False
        del self._entries[entry.sequence]
        self.bytes -= len(entry.packed)
        return True

    def admit(self, upto: int) -> bool:
        """Entries up to this number wait no more; whether the server must be asked what became of one."""
        self._upto = max(self._upto, upto)
        ask = False
        for entry in self:
            if entry.sequence > upto:
                break
            if entry.has_id:
                ask = True  # its id may have become known with another body
            elif not entry.batch.withdrawn:  # else the answer to its withdrawal tells
                self.discard(entry)
                entry.batch.decide(admitted=True)
        return ask

    def answered(self, last: int, known: KnownInLine) -> bool:
        """As `admit`, by an answer, which tells the known ids up to `last`; notifications may be further already."""
        for entry in self:
            if entry.key in known.conflicting:
                self.discard(entry)
                entry.batch.fail(conflict())
            elif entry.sequence > last:
                break
            elif not entry.batch.withdrawn:
                self.discard(entry)
                entry.batch.is_new = entry.key not in known.repeated
                entry.batch.decide(admitted=True)
        return self.admit(self._upto)

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
