"""Hold: one lock request, granted or not, from its first question to its end. The readers of a session share one."""

import asyncio
from collections.abc import Callable
from typing import Final, Literal, Protocol

from shared.concurrency.session.clock import boottime

Mode = Literal["r", "w", "p"]
"""Reads, writes, has a permit."""

Loss = Literal["deadline", "server forgot it", "session closed", "broken by hand"]
"""Why a hold is lost."""

_REASONS: Final[dict[Loss, str]] = {
    "deadline": "its deadline passed, or the server forgot it",
    "server forgot it": "its deadline passed, or the server forgot it",
    "session closed": "its session was closed",
    "broken by hand": "it was broken by hand",
}
_LONGEST_LOOK: Final = 0.25
_SHORTEST_HANG: Final = 10.0


class Body(Protocol):
    """Somebody who relies on a hold, and is notified when it is lost."""

    task: "asyncio.Task[object] | None"
    """The task whose body relies on it; None for one that was acquired by hand."""

    @property
    def mode(self) -> str:
        """What it allows: read, write or permit."""

    def lose(self, spared: "asyncio.Task[object] | None") -> None:
        """Receive the notification that the hold is lost: the task is cancelled unless it is spared."""


class Hold:
    """One hold: its id at the server, its token, and until when it may be relied on here."""

    __slots__ = (
        "_on_lost",
        "_renew_until",
        "_timer",
        "_why",
        "asked_on",
        "bodies",
        "deadline",
        "downgrade",
        "id",
        "mode",
        "places",
        "token",
        "ttl",
    )

    def __init__(
        self,
        id: str,  # noqa: A002
        mode: Mode,
        ttl: float,
        on_lost: "Callable[[Hold, Loss], None]",
    ) -> None:
        """Prepare a request. `on_lost` is called when it is lost, behind those who rely on it."""
        self.id: Final = id
        self.mode: Mode = mode
        self.ttl: Final = ttl
        self.asked_on: object = None
        """The connection of a request for it that has no answer; None when each has. Once that is not the present one,
        the request may run at any time."""
        self.token = 0
        self.deadline = 0.0
        """By the local clock, and before the server's deadline by a margin."""
        # A dictionary as an ordered set: who is notified first must not depend on addresses in memory.
        self.bodies: dict[Body, None] = {}
        self.downgrade: asyncio.Task[bool] | None = None
        """Turns it from a write hold into a read hold, also when who asked for that is cancelled."""
        self.places = 0
        """How many local readers are in it, those included who are about to enter."""
        self._on_lost = on_lost
        self._renew_until = 0.0
        self._why: Loss | None = None
        """Why it is lost; None while it is not."""
        self._timer: asyncio.TimerHandle | None = None

    def take(self, token: int, deadline: float, max_hold: float | None) -> None:
        """Rely on it from here on; it is renewed for `max_hold` seconds, or for ever."""
        self.token, self.deadline = token, deadline
        self._renew_until = float("inf") if max_hold is None else boottime() + max_hold
        self._watch()

    @property
    def left(self) -> float:
        """Seconds for which it may be relied on if it is not renewed; not positive when it is lost."""
        return self.deadline - boottime() if self._why is None else 0.0

    @property
    def lost(self) -> bool:
        """Whether nobody may rely on it any more, though nobody here gave it back."""
        return self._why is not None

    @property
    def reason(self) -> str:
        """Why it is lost, for an error message."""
        return _REASONS[self._why or "deadline"]

    def may_be_renewed(self, loop_idle: float) -> bool:
        """Whether the loop that uses it still runs, and its longest time has not passed; any thread."""
        return loop_idle <= max(3 * self.ttl, _SHORTEST_HANG) and boottime() < self._renew_until

    def renewed(self, deadline: float) -> None:
        """Rely on it until then; any thread."""
        self.deadline = max(self.deadline, deadline)

    def lose(self, why: Loss, spared: "asyncio.Task[object] | None" = None) -> None:
        """Count it as lost, and notify those who rely on it; but do not cancel a task that is spared."""
        if self._why is not None:
            return
        self._why = why
        self.end()
        for body in list(self.bodies):
            body.lose(spared)
        self._on_lost(self, why)

    def end(self) -> None:
        """Rely on it no more."""
        self.deadline = 0.0
        self.downgrade = None  # its context may hold this hold: in a circle, a name at rest would stay
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        """Lose it at its deadline. Looks now and then, for the loop's clock stands still while the machine sleeps."""
        if self.left <= 0:
            self.lose("deadline")
        else:
            self._timer = asyncio.get_running_loop().call_later(min(self.left, _LONGEST_LOOK), self._watch)
