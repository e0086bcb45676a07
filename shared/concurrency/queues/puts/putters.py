"""Putters: this process's entries in the line of waiting puts on the server."""

from collections.abc import Iterator

from shared.concurrency.errors import IdConflict, QueueShutDown
from shared.concurrency.queues.puts.batch import Entry


class Putters:
    """Entries that wait for room, in the order of their numbers, which is the order in which they are let in."""

    def __init__(self) -> None:
        """Begin with nobody in line."""
        self._entries: dict[int, Entry] = {}
        self._upto = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def __contains__(self, entry: Entry) -> bool:
        return entry.sequence in self._entries

    def add(self, entry: Entry) -> None:
        """Note that an entry is in line."""
        if entry not in self:
            self._entries[entry.sequence] = entry
            self.bytes += entry.size

    def discard(self, entry: Entry) -> bool:
        """Take an entry off; whether it was there."""
        if entry not in self:
            return False
        del self._entries[entry.sequence]
        self.bytes -= entry.size
        return True

    def let_in(self, upto: int) -> bool:
        """Entries up to this number have left the line; whether the server must be asked what became of one."""
        self._upto = max(self._upto, upto)
        ask = False
        for entry in self:
            if entry.sequence > upto:
                break
            if entry.has_id:
                ask = True  # it may have met its id under another body
            elif not entry.batch.given_up:  # else the answer to its withdrawal tells
                self.discard(entry)
                entry.batch.decide(admitted=True)
        return ask

    def answered(self, last: int, refused: set[bytes]) -> bool:
        """As `let_in`, by an answer, which knows the conflicts up to LAST; messages may have told of more already."""
        for entry in self:
            if entry.key in refused:
                self.discard(entry)
                entry.batch.fail(conflict())
            elif entry.sequence > last:
                break
            elif not entry.batch.given_up:
                self.discard(entry)
                entry.batch.decide(admitted=True)
        return self.let_in(self._upto)

    def fail(self, error: Exception) -> None:
        """Nobody in line gets in."""
        for entry in self:
            self.discard(entry)
            entry.batch.fail(error)


def conflict() -> IdConflict:
    """The refusal of a known id."""
    return IdConflict("this id is known with another body: a new message needs a new id")


def shut_down() -> QueueShutDown:
    """The refusal of a queue that takes nothing."""
    return QueueShutDown("the queue is shut down: reopen() ends that")
