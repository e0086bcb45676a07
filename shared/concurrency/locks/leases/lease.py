"""Lease: what every holder holds - a token, a deadline, and the way to give it back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from shared.concurrency.errors import LeaseLost
from shared.concurrency.locks.leases.hold import Hold
from shared.concurrency.session.clock import boottime

_MODES: Final = {"r": "read", "w": "write", "p": "permit"}


class Source(Protocol):
    """What leases come from: all that one session has under one name."""

    name: str

    async def downgrade(self, hold: Hold) -> bool:
        """Turn a write hold into a read hold; False when it is lost."""


class Lease:
    """The right to something until a deadline; renewed by itself while the process is well.

    It can be lost: when renewals did not reach the server for its time to live, when the event loop hung, when the server
    forgot it. Then the body of its `async with` is cancelled, and LeaseLost raised in its place; a cancellation
    from outside wins over that. This comes before another can be granted the hold, *provided the event loop runs*: while
    it is blocked, or the process stopped, and in a `finally` that takes its time, only `check()` and the token protect.
    So call `check()` right before what must not be done late, and hand `token` to the store that is written to, which
    refuses a smaller token than it has seen.
    """

    __slots__ = ("__weakref__", "_cancelled", "_cancelling", "_give_up", "ended", "hold", "outer", "source", "task")

    def __init__(self, source: Source, hold: Hold, give_up: Callable[[Hold], Awaitable[bool]]) -> None:
        """Made by what is leased; `give_up` releases the hold, and says whether it was still there."""
        self.source: Final = source
        self.hold = hold
        self.task: asyncio.Task[object] | None = None
        """The task whose body relies on it; None for one that was acquired by hand."""
        self._give_up = give_up
        self._cancelled = False
        self._cancelling = 0
        self.ended = False
        """Whether it was given back, or its body has ended."""
        self.outer: Lease | None = None
        """What the task read under before."""
        hold.bodies[self] = None

    @property
    def name(self) -> str:
        """What is leased."""
        return self.source.name

    @property
    def token(self) -> int:
        """The fencing token: larger than that of every earlier grant under this name, for readers too."""
        return self.hold.token

    @property
    def mode(self) -> str:
        """What it allows: read, write or permit."""
        return _MODES[self.hold.mode]

    @property
    def seconds_left(self) -> float:
        """For how long it may be relied on if it is not renewed; 0.0 when it is lost or released."""
        return 0.0 if self.ended else max(0.0, self.hold.left)

    def check(self) -> None:
        """Raise LeaseLost unless it is held at this moment, by the local clock; asks nobody."""
        if self.ended:
            raise LeaseLost(f"the lease {self.name} was released before")
        if self.hold.left <= 0:
            raise self.loss()

    async def release(self) -> None:
        """Give it back. Cancelled: that goes on in the background.

        :raises LeaseLost: when it was lost, or released before; nothing is changed then.
        """
        self.check()
        if not await self._end():
            raise self.loss()

    def loss(self) -> LeaseLost:
        """What to raise when it is lost."""
        return LeaseLost(
            f"the lease {self.name} (token {self.token}) is lost: its deadline passed, or the server forgot it. "
            "Stop what it guarded"
        )

    async def _end(self) -> bool:
        self.ended = True
        self.hold.bodies.pop(self, None)
        return await self._give_up(self.hold)

    async def suspend(self) -> bool:
        """Give the hold back for a while; False when it had been lost."""
        self.hold.bodies.pop(self, None)
        return await self._give_up(self.hold)

    def resume(self, hold: Hold) -> None:
        """Go on with another hold."""
        self.hold = hold
        hold.bodies[self] = None

    # --- the body of an `async with` ----------------------------------------------------------------------------------

    def begin(self, task: "asyncio.Task[object]") -> None:
        """Have this task's body cancelled when the lease is lost."""
        self.task = task
        self._cancelling = task.cancelling()

    def lose(self) -> None:
        """Called when the hold is lost: the body ends."""
        if self.task is not None and not self._cancelled:
            self._cancelled = True
            self.task.cancel(f"the lease {self.name} is lost")

    def leave_at_once(self) -> bool:
        """End the body where that needs no question, for others are in the same hold; False: `leave` has to."""
        hold = self.hold
        if hold.places < 2 or self.ended or self._cancelled or hold.lost or hold.deadline <= boottime():
            return False
        hold.places -= 1
        self.ended = True
        self.task = None
        hold.bodies.pop(self, None)
        return True

    async def leave(self, error: BaseException | None) -> None:
        """End the body, which raised this.

        :raises LeaseLost: when the lease was lost before, even if the body ended by itself.
        """
        task, self.task = self.task, None
        lost = self.hold.left <= 0
        cancelled = isinstance(error, asyncio.CancelledError)
        if self._cancelled and task is not None:
            cancelled = task.uncancel() > self._cancelling
        if self.ended:
            return  # released by hand in the body
        if lost:
            self.ended = True
            self.hold.bodies.pop(self, None)
        elif not await self._end():
            lost = True
        if lost and not cancelled:
            raise self.loss() from error
