"""LocalReaders: the read hold that the readers of one session share."""

import asyncio
from typing import Final

from shared.concurrency.locks.leases.asking import Asking
from shared.concurrency.locks.leases.hold import Hold
from shared.concurrency.locks.leases.releasing import Releasing
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.futures import retrieve


class LocalReaders:
    """One hold after the other for the readers of a session; the second of them costs no round trip.

    Newcomers may join for 1 s after the last answer that said that no writer waits; then the next one asks. A hold is
    never joined once its release is sent.
    """

    def __init__(self, asking: Asking, releasing: Releasing, kind: str, ttl: float) -> None:
        """Begin with none."""
        self._asking: Final = asking
        self._releasing: Final = releasing
        self._kind = kind
        self._ttl = ttl
        self._current: Hold | None = None
        self._waiting = 0
        self._obtaining: asyncio.Task[Hold] | None = None

    def join(self) -> Hold | None:
        """A place in the hold that stands, where that needs no question."""
        hold = self._current
        if hold is None or hold.lost:
            return None
        now = boottime()
        if now >= hold.deadline or now >= self._asking.open_until:
            return None
        hold.places += 1
        return hold

    async def enter(self) -> Hold:
        """Wait for a place; those who wait at the same time ask once."""
        self._waiting += 1
        obtaining = self._obtaining
        if obtaining is None:
            obtaining = self._obtaining = asyncio.create_task(self._obtain(_own_name()), name="weir-read")
            obtaining.add_done_callback(retrieve)
        try:
            await asyncio.wait({obtaining})
        except asyncio.CancelledError:
            if obtaining.done():
                if not obtaining.cancelled() and obtaining.exception() is None:
                    self.leave_soon(obtaining.result())
            else:
                self._waiting -= 1
                if not self._waiting:
                    self._obtaining = None
                    obtaining.cancel()
            raise
        return obtaining.result()

    async def enter_nowait(self) -> Hold:
        """A place that can be had at once: where `join` finds none, in a new hold; those who come later join that.

        :raises LeaseBusy: when there is none.
        """
        hold = await self._asking.acquire("r", self._kind, self._ttl, None, may_wait=False)
        hold.places += 1
        self._current = hold
        return hold

    async def _obtain(self, by: str) -> Hold:
        try:
            hold = self._current
            if hold is None or hold.left <= 0 or not self._asking.open_until or not await self._is_open(hold):
                hold = self._current = await self._asking.acquire("r", self._kind, self._ttl, None, by=by)
            # A place for each of those who wait, so that the first to leave does not end it for the others.
            hold.places += self._waiting
            return hold
        finally:
            if self._obtaining is asyncio.current_task():
                self._obtaining = None
                self._waiting = 0

    async def _is_open(self, hold: Hold) -> bool:
        hold.places += 1  # it must not be released meanwhile
        try:
            await self._asking.ask_again(hold, self._kind)
            # From here to the end of `_obtain` nobody else runs.
            open_ = hold.left > 0 and boottime() < self._asking.open_until
        except BaseException:  # also cancelled: its place must be free again
            self.leave_soon(hold)
            raise
        if open_:
            hold.places -= 1
        else:
            self.leave_soon(hold)
        return open_

    async def leave(self, hold: Hold) -> bool:
        """Leave a place; the last one releases the hold. False when that had been lost."""
        if not self._is_last(hold):
            return True
        return await self._releasing.release(hold)

    def leave_soon(self, hold: Hold) -> None:
        """Leave a place, in the background."""
        if self._is_last(hold) and not hold.lost:
            self._releasing.release_soon(hold)

    def _is_last(self, hold: Hold) -> bool:
        hold.places -= 1
        if hold.places:
            return False
        if self._current is hold:
            self._current = None
        return True


def _own_name() -> str:
    task = asyncio.current_task()
    return "" if task is None else task.get_name()
