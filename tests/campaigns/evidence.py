"""Evidence: what the processes of a fleet wrote down, given to the checkers."""

from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from typing import Final

from tests.campaigns import history, referee
from tests.campaigns.checkers.losses import Losses, explain
from tests.campaigns.checkers.order import Order, judge_order
from tests.campaigns.checkers.recovery import longest_pause, longest_recovery
from tests.campaigns.checkers.repeats import Handled, Repeats, judge_repeats
from tests.campaigns.checkers.standstill import longest_standstill
from tests.campaigns.checkers.starvation import Wait, longest_wait
from tests.campaigns.checkers.strikes import Strike
from tests.campaigns.checkers.totals import Name, total_queue
from tests.campaigns.pulse import NETWORK, read_gaps, read_groups, read_hold_ups, read_left

_NOTICE: Final = 0.5
"""Seconds: for so long an answer may be on its way, and whoever was struck may begin with what it had in hand."""
_ENDANGERED: Final = 0.3
"""Seconds: whoever was starved for so long may have renewed its session too late."""


class Evidence:
    """All files of a run whose processes have ended, or are at rest."""

    def __init__(self, records: Path, strikes: Sequence[Strike] = ()) -> None:
        """Read them. `strikes`: what the campaign did meanwhile."""
        self._strikes = strikes
        self._events = list(history.read(records))
        self._handlings = list(referee.read(records))
        self._notes = list(referee.read_notes(records))
        self._gaps = read_gaps(records, strikes)
        self._hold_ups = read_hold_ups(records)
        self._groups = read_groups(records)
        self.left = read_left(records)
        self.handled = {(each.part, each.number) for each in self._handlings}
        self.totals = total_queue(self._events, ((each.part, each.number) for each in self._handlings))

    def order(self) -> Order:
        """Whether each key had its turns; of no key where the messages had none."""
        return judge_order(self._notes)

    def standstill(self) -> float:
        """The longest time without a handling, in seconds, whatever the reason."""
        return longest_standstill(each.at for each in self._handlings)

    def awake_standstill(self) -> float:
        """The same, less the time in which nobody could have handled anything."""
        return longest_pause([each.at for each in self._handlings], self._gaps, self._groups)

    def recovery(self, healed: Sequence[int]) -> float:
        """The longest time from the end of a strike to the next handling, in seconds."""
        moments = [each.at for each in self._handlings]
        if not self.totals.lost:  # what was healed when all had been handled had nothing left to show
            healed = [heal for heal in healed if heal <= max(moments, default=0)]
        return longest_recovery(healed, moments, self._gaps, self._groups)

    def longest_put(self) -> float:
        """The longest time in which a range of puts was not in, in seconds; from when it was asked for last."""
        waits: list[Wait] = []
        asked: dict[tuple[int, int], int] = {}
        for event in self._events:
            if event.phase == "invoke":
                asked[event.part, event.first] = event.at
            elif event.phase == "ok":
                waits.append(Wait(f"producer-{event.part}", asked.pop((event.part, event.first)), event.at))
        return longest_wait(waits, self._gaps)

    def repeats(self, in_hands: int, taken_since: int) -> Repeats:
        """Name a strike for each message that was handled once more.

        A machine that starves a process is one, and so is whatever holds up the network, for everybody.
        """
        held_up = [
            *((gap, gap.pid) for gap in self._gaps if gap.process != NETWORK),
            *((gap, None) for gap in self._hold_ups),
        ]
        starving = [
            Strike("starved", gap.began, gap.ended, pid)
            for gap, pid in held_up
            if gap.ended - gap.began > _ENDANGERED * 1e9
        ]
        handled = (Handled((each.part, each.number), each.pid, each.began, each.at) for each in self._handlings)
        return judge_repeats(handled, [*self._strikes, *starving], in_hands, taken_since, _NOTICE)

    def forgotten(self, uncounted: Iterable[Name]) -> Losses:
        """Compare lost messages, and handlings that the server does not know, with what it kept at each strike."""
        known = {name: at for name, at in self._known().items() if name in self.totals.lost}
        missing = frozenset(uncounted)
        last = {(each.part, each.number): each.at for each in self._handlings if (each.part, each.number) in missing}
        return explain([*known.values(), *last.values()], self._strikes, self._late(), self._gaps)

    def kept_puts(self) -> int:
        """How many puts returned that no strike has taken back: all, or those since the server forgot last."""
        forgot = [strike.began for strike in self._strikes if strike.kept is not None]
        since = max(forgot) + self._late() * 1e9 if forgot else -inf
        return sum(at > since for at in self._known().values())

    def _known(self) -> dict[Name, int]:
        """When each message was known to be in; of a slow range that is noted for each."""
        return {
            (event.part, number): event.at
            for phase in ("ok", "each")  # where each is known, it counts
            for event in self._events
            if event.phase == phase
            for number in range(event.first, event.last + 1)
        }

    def _late(self) -> float:
        """Seconds: whoever was starved may have read an answer so much later than it was given."""
        return _NOTICE + max(((gap.ended - gap.began) / 1e9 for gap in self._gaps), default=0.0)
