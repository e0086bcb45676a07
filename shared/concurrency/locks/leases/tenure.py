"""Tenure: one holder's part in a hold, as the rooms of locks see it. Users see it as a Lease."""

import asyncio
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Final, Protocol

from shared.concurrency.errors import LeaseLost
from shared.concurrency.locks.leases.hold import Hold

_MODES: Final = {"r": "read", "w": "write", "p": "permit"}


class Source(Protocol):
    """What holds come from: all that one session has under one name."""

    name: str
    inside: "dict[asyncio.Task[object], Tenure]"
    """A task -> its body that began last, which knows the one before."""

    def check_here(self) -> None:
        """Raise WrongLoop outside the event loop of the session."""

    async def downgrade(self, hold: Hold) -> bool:
        """Turn a write hold into a read hold; False when it is lost."""


class Tenure:
    """One holder's part in a hold: who relies on it, and how it ends."""

    __slots__ = (
        "_cancelled",
        "_cancelling",
        "_release",
        "_watched",
        "below",
        "ended",
        "entered_by",
        "frame",
        "hold",
        "on_end",
        "outer",
        "source",
        "task",
    )

    def __init__(self, source: Source, hold: Hold, release: Callable[[Hold], Awaitable[bool]]) -> None:
        """Begin; `release` gives the hold back, and says whether it was still there."""
        self.source: Final = source
        self.hold = hold
        self.task: asyncio.Task[object] | None = None
        """The task whose body relies on it; None for one that was acquired by hand."""
        self.ended = False
        """Whether it was given back, or its body has ended."""
        self.frame: FrameType | None = None
        """Where its body stands; None for one that was acquired by hand."""
        self.on_end: Callable[[Tenure], None] | None = None
        """Called when it has ended or is lost."""
        self.outer: Tenure | None = None
        """What the task was inside of before."""
        self.entered_by: asyncio.Task[object] | None = None
        """The task that is inside of what was acquired by hand."""
        self._release = release
        self._cancelled = False
        self._cancelling = 0
        # Who watches for its end; once it is known to be lost, whether that is so.
        self._watched: tuple[asyncio.Future[bool], ...] | bool = ()
        hold.bodies[self] = None

    @property
    def mode(self) -> str:
        """What it allows: read, write or permit."""
        return _MODES[self.hold.mode]

    @property
    def is_live(self) -> bool:
        """Whether it is held at this moment, by the local clock."""
        return not self.ended and self.hold.left > 0

    @property
    def is_lost(self) -> bool:
        """Whether its hold was lost before it ended; a suspended one has none to lose."""
        return not self.ended and self in self.hold.bodies and self.hold.left <= 0

    def check(self) -> None:
        """Raise LeaseLost unless it is held at this moment, by the local clock."""
        if self.ended:
            raise LeaseLost(f"the lease {self.source.name} was released before")
        if self.hold.left <= 0:
            raise self.loss()

    def loss(self) -> LeaseLost:
        """What to raise when it is lost."""
        return LeaseLost(
            f"the lease {self.source.name} (token {self.hold.token}) is lost: {self.hold.reason}. Stop what it guarded"
        )

    def watch(self) -> "asyncio.Future[bool]":
        """A future of its own for each call: True when it is lost, False when it is given back."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._watched == () and self.ended:
            self._watched = False
        elif self.hold.left <= 0 and self in self.hold.bodies:
            self._decide(is_lost=True)  # its timer is late
        if isinstance(self._watched, tuple):
            self._watched = (*(watcher for watcher in self._watched if not watcher.done()), future)
        else:
            future.set_result(self._watched)
        return future

    async def release(self) -> None:
        """Give it back.

        :raises LeaseLost: when it was lost, or released before; nothing is changed then.
        :raises WrongLoop: outside the event loop of the session.
        """
        self.source.check_here()
        self.check()
        if not await self._end():
            raise self.loss()

    async def suspend(self) -> bool:
        """Give the hold back for a while; False when it had been lost."""
        self.hold.bodies.pop(self, None)
        return await self._release(self.hold)

    def resume(self, hold: Hold) -> None:
        """Go on with another hold."""
        self.hold = hold
        hold.bodies[self] = None

    def abandon(self) -> None:
        """Count it as lost: there is no hold to go on with."""
        self.end()
        self._decide(is_lost=True)

    def begin(self, task: "asyncio.Task[object]", frame: FrameType) -> None:
        """Have this task's body, which stands in that frame, cancelled when the hold is lost."""
        self.task, self.frame = task, frame
        self.below: Tenure | None = None
        """The body of the same task that began before it."""
        if (before := self.source.inside.setdefault(task, self)) is not self:
            self.below = before
            self.source.inside[task] = self
        self._cancelling = task.cancelling()

    def lose(self, spared: "asyncio.Task[object] | None") -> None:
        """Cancel the body, unless its task is spared: the hold is lost."""
        self._decide(is_lost=True)
        if self.task is not None and self.task is not spared and not self._cancelled:
            self._cancelled = True
            self.task.cancel(f"the lease {self.source.name} is lost")
        if self.on_end is not None:
            self.on_end(self)

    async def leave(self, error: BaseException | None) -> None:
        """End the body, which raised this error or none.

        :raises LeaseLost: when the hold was lost before, even if the body ended by itself.
        """
        task, self.task, self.frame = self.task, None, None
        if task is not None:
            last = self.source.inside.pop(task)
            if last is not self or self.below is not None:
                self._unlink(task, last)
        lost = self.hold.left <= 0
        cancelled = isinstance(error, asyncio.CancelledError)
        if self._cancelled and task is not None:
            cancelled = task.uncancel() > self._cancelling
        if self.ended:
            return  # released by hand in the body
        if lost:
            self.end()
            self._decide(is_lost=True)
        elif not await self._end():
            lost = True
        if lost and not cancelled:
            raise self.loss() from error

    def _unlink(self, task: "asyncio.Task[object]", last: "Tenure") -> None:
        """Go from among several bodies of a task, the last of which was `last`."""
        if last is self:
            if self.below is not None:
                self.source.inside[task] = self.below
            return
        self.source.inside[task] = above = last
        while above.below is not None and above.below is not self:
            above = above.below
        above.below = self.below  # left in another order than entered

    def end(self) -> None:
        """Count it as ended."""
        self.ended = True
        self.hold.bodies.pop(self, None)
        if self.on_end is not None:
            self.on_end(self)

    async def _end(self) -> bool:
        self.end()
        if not self._watched:  # nearly always; readers of one session come and go without a question to the server
            was_there = await self._release(self.hold)
            if not was_there:
                self._decide(is_lost=True)
            return was_there
        was_there = True
        try:
            was_there = await self._release(self.hold)
        finally:
            self._decide(is_lost=not was_there)
        return was_there

    def _decide(self, *, is_lost: bool) -> None:
        if isinstance(self._watched, tuple):
            watchers, self._watched = self._watched, is_lost
            for watcher in watchers:
                if not watcher.done():
                    watcher.set_result(is_lost)
