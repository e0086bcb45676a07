"""Timetable: when each of the things that a heartbeat renews is due, by a time of its own."""

import heapq
import math
import threading
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from shared.concurrency.session.clock import boottime


class Timed(Protocol):
    """What has a time to live."""

    @property
    def shortest_ttl(self) -> float:
        """The shortest time to live, in seconds, of what is to be renewed; infinite when there is nothing."""


R = TypeVar("R", bound=Timed)


class Due(NamedTuple):
    """When one of them is renewed, by the local clock."""

    early: float
    """From then on it goes along with others: so those that were first renewed at different times meet."""
    at: float
    deadline: float
    """When it is lost unless it is renewed: the nearest goes first."""
    ttl: float

    @classmethod
    def after(cls, now: float, ttl: float) -> "Due":
        """A third of the time to live later."""
        return cls(now + 0.3 * ttl, now + ttl / 3, now + ttl, ttl)


class Timetable(Generic[R]):
    """What is to be renewed, and when. The event loop plans and drops; the heartbeat's thread takes what is due.

    What holds nothing is not in it, and costs nothing.
    """

    def __init__(self, longest: float, on_sooner: Callable[[], None]) -> None:
        """Begin with nothing. `longest`: a time to live for what says none, and for a look when nothing is there.

        `on_sooner`: called when something is due sooner than `next_at` said.
        """
        self._longest: Final = longest
        self._on_sooner = on_sooner
        self._due: dict[R, Due] = {}
        self._all_at = math.inf
        self._changing = threading.Lock()
        self.next_at = boottime() + longest / 3
        """When to take again."""
        self.shortest = longest
        """The shortest time to live in it, at the last look that found nothing due, and of what came since."""

    def plan(self, what: R, ttl: float) -> None:
        """Renew it in a third of this time to live, unless it is due sooner."""
        due = Due.after(boottime(), ttl)
        with self._changing:
            self.shortest = min(self.shortest, ttl)
            planned = self._due.get(what)
            if planned is None or due.at < planned.at:
                self._due[what] = due
                self._look_at(due.at)
            elif due.ttl < planned.ttl:  # due sooner, but with more time until it is lost
                self._due[what] = planned._replace(deadline=min(due.deadline, planned.deadline), ttl=due.ttl)

    def all_within(self, seconds: float) -> None:
        """Renew all of it in so many seconds at the latest."""
        at = boottime() + seconds
        with self._changing:
            self._all_at = min(self._all_at, at)
            self._look_at(at)

    def drop(self, what: R) -> None:
        """Renew it no more."""
        with self._changing:
            self._due.pop(what, None)

    def renewed(self, what: R, sent_at: float) -> None:
        """Renew it again a third of its time to live behind that renewal, unless it was dropped meanwhile."""
        with self._changing:
            if what in self._due:
                ttl = what.shortest_ttl
                self._due[what] = Due.after(sent_at, ttl if ttl < math.inf else self._longest)

    def take(self, most: int, again_in: float) -> list[R]:
        """Those that are due, the nearest first, so many at most; they are due again in so many seconds.

        None means that nothing is, until `next_at`.
        """
        now = boottime()
        self._have_all_due(now)
        planned = list(self._due.items())
        due = [(each.deadline, number) for number, (_, each) in enumerate(planned) if each.early <= now]
        taken = [planned[number][0] for _, number in heapq.nsmallest(most, due)]
        with self._changing:
            again = now + again_in
            for what in taken:
                if what in self._due:
                    self._due[what] = self._due[what]._replace(early=again, at=again)
            if not taken:
                self.shortest = min((each.ttl for each in self._due.values()), default=self._longest)
                soonest = min((each.at for each in self._due.values()), default=math.inf)
                self.next_at = min(now + self._longest / 3, self._all_at, soonest)
        return taken

    def rest(self, seconds: float) -> None:
        """Take nothing for so many seconds: it could not be renewed just now."""
        with self._changing:
            self.next_at = boottime() + seconds

    def _have_all_due(self, now: float) -> None:
        with self._changing:
            if now >= self._all_at:
                self._all_at = math.inf
                self._due = {what: due._replace(early=now, at=now) for what, due in self._due.items()}

    def _look_at(self, at: float) -> None:
        if at < self.next_at:
            self.next_at = at
            self._on_sooner()
