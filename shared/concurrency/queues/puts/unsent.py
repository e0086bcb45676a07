"""Unsent: entries that wait in this process until a call carries them."""

from collections import deque
from collections.abc import Iterator, Sequence

from shared.concurrency.queues.puts.batch import Batch, OutgoingEntry


class Unsent:
    """Entries in the order of their numbers. One that is withdrawn stays in its place and is passed over.

    So a withdrawal costs the same however many wait.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._entries: deque[OutgoingEntry] = deque()
        self.count = 0
        """How many there are, without those that are withdrawn. A field: every put asks for it several times."""
        self._nowaits = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[OutgoingEntry]:
        return (entry for entry in self._entries if not entry.batch.withdrawn)

    def __contains__(self, entry: OutgoingEntry) -> bool:
        # What has been sent has a lower number than all that has not.
        return bool(self._entries) and entry.sequence >= self._entries[0].sequence

    def add(self, batch: Batch) -> None:
        """Have a batch wait, whose numbers are the highest so far."""
        self._entries.extend(batch.entries)
        self.count += batch.undecided  # which are all of them
        if not batch.may_wait:
            self._nowaits += batch.undecided

    def extend(self, entries: list[OutgoingEntry]) -> None:
        """Have some entries of a batch wait, as `add`."""
        self._entries.extend(entries)
        self.count += len(entries)
        self._nowaits += sum(not entry.batch.may_wait for entry in entries)

    def first(self) -> OutgoingEntry | None:
        """The one that is taken next."""
        while self._entries and self._entries[0].batch.withdrawn:
            self._entries.popleft()
        return self._entries[0] if self._entries else None

    def put_back(self, entries: list[OutgoingEntry]) -> None:
        """Have entries wait again that were taken out last."""
        self._entries.extendleft(reversed(entries))
        self.count += len(entries)
        self._nowaits += sum(not entry.batch.may_wait for entry in entries)

    def give_up(self, batch: Batch) -> int:
        """Pass over a batch that is withdrawn from here on; its entries that are here are decided.

        Returns how many those are.
        """
        return self.give_up_of(batch, batch.entries)

    def give_up_of(self, batch: Batch, entries: Sequence[OutgoingEntry]) -> int:
        """As `give_up`, of those entries of a batch that may be here."""
        here = sum(entry in self for entry in entries)
        for _ in range(here):
            batch.decide(admitted=False)
        self.count -= here
        if not batch.may_wait:
            self._nowaits -= here
        if self.count * 2 < len(self._entries):
            self._keep(list(self))
        return here

    def take(self, most: int, most_bytes: int) -> list[OutgoingEntry]:
        """Take out the first ones, at least one: all may wait for room, or none may."""
        waiting, size = self._entries, 0
        taken: list[OutgoingEntry] = []
        may_wait: bool | None = None
        while waiting and len(taken) < most:
            entry = waiting[0]
            batch = entry.batch
            if batch.withdrawn:
                waiting.popleft()
                continue
            size += len(entry.packed)
            if batch.may_wait is not may_wait or size > most_bytes:
                if taken:
                    break
                may_wait = batch.may_wait
            taken.append(waiting.popleft())
        self.count -= len(taken)
        if may_wait is False:
            self._nowaits -= len(taken)
        return taken

    def take_nowaits(self) -> list[OutgoingEntry]:
        """Take out those that may not wait."""
        found: list[OutgoingEntry] = []
        while self._nowaits > len(found) and not self._entries[-1].batch.may_wait:
            entry = self._entries.pop()
            if not entry.batch.withdrawn:
                found.append(entry)
        self.count -= len(found)
        if self._nowaits > len(found):
            found += [entry for entry in self if not entry.batch.may_wait]
            self._keep([entry for entry in self if entry.batch.may_wait])
        self._nowaits = 0
        return found

    def take_all(self) -> list[OutgoingEntry]:
        """Take out all."""
        found = list(self)
        self._keep([])
        self._nowaits = 0
        return found

    def _keep(self, entries: list[OutgoingEntry]) -> None:
        self._entries = deque(entries)
        self.count = len(entries)
