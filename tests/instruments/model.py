"""A bounded queue as plain data: what ours must look like after any sequence of calls."""

from dataclasses import dataclass, field

from tests.instruments.puts import Entry, Put, Verdict

SUSPECT_FROM = 2
CRASHES_AT_MOST = 5


@dataclass
class Model:
    """The queue."""

    maxsize: int
    max_attempts: int
    shut: bool = False
    shut_at_once: bool = False
    paused: bool = False
    pending: list[Entry] = field(default_factory=list)
    returned: list[Entry] = field(default_factory=list)
    suspects: list[Entry] = field(default_factory=list)
    delayed: list[Entry] = field(default_factory=list)
    due: list[Entry] = field(default_factory=list)
    line: list[tuple[Put, Entry]] = field(default_factory=list)
    leased: dict[str, list[Entry]] = field(default_factory=dict)
    dead: list[Entry] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    stamps: int = 0
    put_total: int = 0
    acked_total: int = 0
    nacked_total: int = 0
    dead_total: int = 0
    recovered_total: int = 0
    replayed_total: int = 0

    @property
    def waiting(self) -> int:
        """Given back, recovered or delayed."""
        return len(self.returned) + len(self.suspects) + len(self.delayed) + len(self.due)

    @property
    def held(self) -> int:
        """In somebody's hands."""
        return sum(len(entries) for entries in self.leased.values())

    @property
    def unfinished(self) -> int:
        """Neither acknowledged nor dead."""
        return self.put_total + self.replayed_total - self.acked_total - self.dead_total

    @property
    def finished(self) -> bool:
        """Whether a get raises QueueShutDown."""
        return self.shut and self.unfinished == 0

    def check(self) -> None:
        """The model keeps its own promises: conservation, and nobody waits in line while there is room."""
        assert self.unfinished == len(self.pending) + self.waiting + self.held
        assert not self.line or (self._room() == 0 and not self.shut)

    def _room(self) -> float:
        return float("inf") if self.maxsize == 0 else max(0, self.maxsize - len(self.pending) - self.waiting)

    # --- putting ----------------------------------------------------------------------------------------------------

    def put(self, process: str, entries: list[Entry]) -> Put:
        """Entries enter while there is room, and wait in line then."""
        call = Put(process, entries)
        for entry in entries:
            met = self._meet(entry)
            if self.shut:
                call.verdicts.append("shut")
            elif met != "in":
                call.verdicts.append(met)
            elif self._room() > 0:
                self._enter(entry)
                call.verdicts.append("in")
            else:
                self.line.append((call, entry))
        return call

    def put_nowait(self, entry: Entry) -> Verdict:
        """As put, but never waits."""
        met = self._meet(entry)
        if self.shut:
            return "shut"
        if met != "in":
            return met
        if self._room() == 0:
            return "full"
        self._enter(entry)
        return "in"

    def _meet(self, entry: Entry) -> Verdict:
        if entry.id is None or entry.id not in self.ids:
            return "in"
        return "known" if self.ids[entry.id] == entry.item else "conflict"

    def _enter(self, entry: Entry) -> None:
        if entry.id is not None:
            self.ids[entry.id] = entry.item
        self.put_total += 1
        self._stamp(entry)
        self.pending.append(entry)

    def _stamp(self, entry: Entry) -> None:
        self.stamps += 1
        entry.stamp = self.stamps

    def admit(self) -> None:
        """Let in from the line what there is room for."""
        while self.line and self._room() > 0 and not self.shut:
            call, entry = self.line.pop(0)
            met = self._meet(entry)
            if met == "in":
                self._enter(entry)
            call.verdicts.append(met)

    def withdraw(self, call: Put) -> None:
        """A put was cancelled: out of the line."""
        self.line = [(other, entry) for other, entry in self.line if other is not call]

    # --- taking -----------------------------------------------------------------------------------------------------

    def take(self, process: str) -> Entry | None:
        """Hand out the next message, if there is one and the queue is not paused."""
        found = None if self.paused else self._next(process)
        if found is not None:
            self.leased.setdefault(process, []).append(found)
        self.admit()
        return found

    def _next(self, process: str) -> Entry | None:
        if self.returned:
            return self.returned.pop(0)
        if self.suspects and not any(entry.crashes >= SUSPECT_FROM for entry in self.leased.get(process, [])):
            return self.suspects.pop(0)
        while self.due:
            first = self.due.pop(0)
            if first.crashes < SUSPECT_FROM:
                return first
            self.suspects.append(first)
        return self.pending.pop(0) if self.pending else None

    def ack(self, process: str, entry: Entry) -> None:
        """Done with."""
        self.leased[process].remove(entry)
        self.acked_total += 1

    def nack(self, process: str, entry: Entry, *, later: bool) -> None:
        """Failed: again, later, or dead."""
        self.leased[process].remove(entry)
        self.nacked_total += 1
        entry.failures += 1
        entry.hand_outs += 1
        if entry.failures >= self.max_attempts or self.shut_at_once:
            self.bury(entry)
        elif later:
            entry.was_delayed = True
            self.delayed.append(entry)
        else:
            self._back(entry)

    def pass_time(self) -> None:
        """All that was delayed is due, in its old order."""
        self.due = sorted(self.due + self.delayed, key=lambda entry: entry.stamp)
        self.delayed.clear()

    def dead_letter(self, process: str, entry: Entry) -> None:
        """Into the dead letters."""
        self.leased[process].remove(entry)
        entry.hand_outs += 1
        self.bury(entry)

    def give_back(self, process: str, entry: Entry) -> None:
        """Neither failure nor crash."""
        self.leased[process].remove(entry)
        entry.hand_outs += 1
        self._back(entry)

    def _back(self, entry: Entry) -> None:
        if self.shut_at_once:
            self.bury(entry)
            return
        (self.suspects if entry.crashes >= SUSPECT_FROM else self.returned).append(entry)

    def bury(self, entry: Entry) -> None:
        """Becomes a dead letter."""
        self.dead.append(entry)
        self.dead_total += 1

    # --- sessions ---------------------------------------------------------------------------------------------------

    def crash(self, process: str) -> None:
        """A session passed its deadline: its deliveries are recovered, its entries go to the end of the line."""
        for entry in sorted(self.leased.pop(process, []), key=lambda entry: entry.stamp):
            entry.crashes += 1
            entry.hand_outs += 1
            self.recovered_total += 1
            if entry.crashes >= CRASHES_AT_MOST:
                self.bury(entry)
            else:
                self._back(entry)
        mine = [place for place in self.line if place[0].process == process]
        self.line = [place for place in self.line if place[0].process != process]
        for call, entry in mine:
            # Put again: what has become known meanwhile is decided at once.
            met = self._meet(entry)
            if met == "in":
                self.line.append((call, entry))
            else:
                call.verdicts.append(met)

    def close(self, process: str) -> list[Put]:
        """A session ends: gives back, and leaves the line; the puts that fail."""
        for entry in sorted(self.leased.get(process, []), key=lambda entry: entry.stamp):
            self.give_back(process, entry)
        failed = [call for call, _ in self.line if call.process == process]
        self.line = [(call, entry) for call, entry in self.line if call.process != process]
        return list(dict.fromkeys(failed))

    # --- the queue as a whole ---------------------------------------------------------------------------------------

    def resize(self, maxsize: int) -> None:
        """Another bound."""
        self.maxsize = maxsize
        self.admit()

    def shutdown(self, *, immediate: bool) -> None:
        """Nothing enters any more."""
        self.shut, self.shut_at_once = True, immediate
        for call, _ in self.line:
            call.verdicts.append("shut")
        self.line.clear()
        if immediate:
            for place in (self.pending, self.returned, self.suspects, self.delayed, self.due):
                for entry in place:
                    self.bury(entry)
                place.clear()

    def reopen(self) -> None:
        """Puts enter again."""
        self.shut = self.shut_at_once = False

    def replay(self, order: list[int]) -> int:
        """Dead letters come back in this order, as far as there is room behind the line; how many did."""
        room = 0 if self.line else self._room()
        back = [next(entry for entry in self.dead if entry.item == item) for item in order]
        back = back[: int(min(room, len(back)))]
        for entry in back:
            self.dead.remove(entry)
            entry.hand_outs = entry.crashes = entry.failures = 0
            self._stamp(entry)
            self.pending.append(entry)
        self.replayed_total += len(back)
        return len(back)
