"""Turns: what waits in this process until a call carries it, so that each of its flows gets turns."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from shared.concurrency.queues.membership.level import Level
from shared.concurrency.queues.puts.batch import MOST_ENTRIES, PORTION, Batch, OutgoingEntry
from shared.concurrency.queues.puts.unsent import Unsent

MOST_OF_A_FLOW: Final = 400
"""Of the places of a process in the line, for any one flow; the others are for flows that have none there."""


class Turns:
    """Unsent entries: of each flow in the order of their numbers, and the flows round robin.

    While no entry of this process has had a share or a priority there is one flow, and all of it is as in Unsent.
    """

    def __init__(self, level: Level) -> None:
        """`level`: of the queue; it says whether any entry may have a flow."""
        self._level: Final = level
        self._has_flows = False
        """Whether there has been an entry of another flow than the default one."""
        self._default: Final = Unsent()
        self._flows: Final[dict[bytes, Unsent]] = {}
        """Those that have entries, the default one too; empty as long as only that one has had any."""
        self._order: deque[bytes] = deque()
        """Whose turn it is: each of them once."""
        self._nowaits = 0
        self.count = 0
        """How many entries there are, without those that are withdrawn. A field, as in Unsent."""

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[OutgoingEntry]:
        if not self._flows:
            return iter(self._default)
        return (entry for unsent in self._flows.values() for entry in unsent)

    def add(self, batch: Batch) -> None:
        """Have a batch wait, whose numbers are the highest so far."""
        self.count += batch.undecided
        if not batch.may_wait:
            self._nowaits += batch.undecided
        if not self._has_flows:
            self._has_flows = bool(self._level.wanted) and any(entry.flow for entry in batch.entries)
        if not self._has_flows:
            self._default.add(batch)
            return
        for flow, entries in _by_flow(batch.entries).items():
            self._of(flow).extend(entries)

    def put_back(self, entries: list[OutgoingEntry]) -> None:
        """Have entries wait again that were taken out last."""
        self.count += len(entries)
        self._nowaits += sum(not entry.batch.may_wait for entry in entries)
        if not self._has_flows:
            self._default.put_back(entries)
            return
        for flow, some in _by_flow(entries).items():
            self._of(flow).put_back(some)

    def give_up(self, batch: Batch) -> None:
        """Pass over a batch that is withdrawn from here on; its entries that are here are decided."""
        before = self.count
        if not self._has_flows:
            self.count -= self._default.give_up(batch)
        for flow, entries in _by_flow(batch.entries).items() if self._flows else ():
            if flow in self._flows:
                self.count -= self._flows[flow].give_up_of(batch, entries)
        if not batch.may_wait:
            self._nowaits -= before - self.count

    def fits(self, waiting: int, of_flow: Mapping[bytes, int]) -> bool:
        """Whether a call is worth it, with so many in the line, and so many of each flow: they go in portions."""
        places = MOST_ENTRIES - waiting
        if not self._flows:
            return self.count > 0 and (places >= PORTION or places >= self.count)
        if places <= 0:
            return False
        is_portion = MOST_OF_A_FLOW - waiting >= min(PORTION, self.count)
        for flow, unsent in self._flows.items():
            there = of_flow.get(flow, 0)
            if unsent.count and _room(waiting, there) > 0 and (is_portion or not there):
                return True
        return False

    def take(self, most_bytes: int, waiting: int, of_flow: Mapping[bytes, int]) -> list[OutgoingEntry]:
        """Take out the first ones, as there are places for: all may wait for room, or none may."""
        if not self._flows:
            taken = self._default.take(MOST_ENTRIES - waiting, most_bytes)
        elif len(self._flows) == 1:
            ((flow, unsent),) = self._flows.items()
            room = min(MOST_ENTRIES - waiting, _room(waiting, of_flow.get(flow, 0)))
            taken = unsent.take(room, most_bytes)
            if not unsent.count:
                self._forget_empty()
        else:
            taken = self._take_in_turn(most_bytes, waiting, of_flow)
        self.count -= len(taken)
        if taken and not taken[0].batch.may_wait:
            self._nowaits -= len(taken)
        return taken

    def _take_in_turn(self, most_bytes: int, waiting: int, of_flow: Mapping[bytes, int]) -> list[OutgoingEntry]:
        taken: list[OutgoingEntry] = []
        of_each, size, passed = Counter(of_flow), 0, 0
        while passed < len(self._order) and waiting + len(taken) < MOST_ENTRIES:
            flow = self._order.popleft()
            unsent = self._flows[flow]
            first = unsent.first()
            if first is None:
                del self._flows[flow]
                continue
            if _room(waiting + len(taken), of_each[flow]) <= 0 or (
                taken and first.batch.may_wait is not taken[0].batch.may_wait
            ):
                self._order.append(flow)
                passed += 1
                continue
            size += len(first.packed)
            if taken and size > most_bytes:
                self._order.appendleft(flow)
                break
            taken += unsent.take(1, most_bytes)
            of_each[flow] += 1
            passed = 0
            if unsent.count:
                self._order.append(flow)
            else:
                unsent.take_all()  # those that are withdrawn, and have kept their places
                del self._flows[flow]
        return taken

    def take_nowaits(self) -> list[OutgoingEntry]:
        """Take out those that may not wait."""
        if not self._nowaits:
            return []
        found = [entry for unsent in self._all() for entry in unsent.take_nowaits()]
        self.count -= len(found)
        self._nowaits = 0
        self._forget_empty()
        return found

    def take_all(self) -> list[OutgoingEntry]:
        """Take out all."""
        found = [entry for unsent in self._all() for entry in unsent.take_all()]
        self.count = self._nowaits = 0
        self._forget_empty()
        return found

    def _all(self) -> Iterable[Unsent]:
        return list(self._flows.values()) if self._flows else [self._default]

    def _of(self, flow: bytes) -> Unsent:
        if not self._flows and self._default.count:
            self._flows[b""] = self._default
            self._order.append(b"")
        if flow not in self._flows:
            self._flows[flow] = self._default if flow == b"" else Unsent()
            self._order.append(flow)
        return self._flows[flow]

    def _forget_empty(self) -> None:
        for flow in [flow for flow, unsent in self._flows.items() if not unsent.count]:
            self._flows[flow].take_all()  # those that are withdrawn, and have kept their places
            del self._flows[flow]
        self._order = deque(flow for flow in self._order if flow in self._flows)


def _room(waiting: int, of_flow: int) -> int:
    """How many places there are in the line for a flow that has so many there, of all that wait."""
    if waiting < MOST_OF_A_FLOW:
        return min(MOST_OF_A_FLOW - waiting, MOST_OF_A_FLOW - of_flow)
    return int(of_flow == 0)


def _by_flow(entries: Sequence[OutgoingEntry]) -> dict[bytes, list[OutgoingEntry]]:
    found: dict[bytes, list[OutgoingEntry]] = {}
    for entry in entries:
        found.setdefault(entry.flow, []).append(entry)
    return found
