"""Acquirable: the ways to ask for a lease - `async with`, or acquire() and release() by hand."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from types import FrameType, TracebackType
from typing import Any, ClassVar, Final, Generic, TypeVar, cast

from shared.concurrency.checks import check_seconds
from shared.concurrency.errors import LeaseBusy, LeaseLost
from shared.concurrency.locks.leases.bodies import left_by
from shared.concurrency.locks.leases.by_hand import ByHand
from shared.concurrency.locks.leases.lease import Lease, tenure_of
from shared.concurrency.locks.leases.tenure import Tenure
from shared.concurrency.session.process import Process

L = TypeVar("L", bound=Lease)

_LONGEST_WAIT: Final = 86400.0 * 365


class Acquirable(Generic[L]):
    """Asks for leases of one kind: for the body of an `async with`, or by hand."""

    _ARE_ALIKE: ClassVar = False
    """Whether it does not matter whose hold a task without one gives back."""

    def __init__(self, process: Process) -> None:
        """Begin with nothing."""
        self._process = process
        self._bodies: list[Tenure] = []
        self._by_hand: ByHand | None = None
        """Made at the first call: most objects are only entered."""

    async def _grant(self, task: "asyncio.Task[object]", *, may_wait: bool) -> L:
        """Wait for a lease, asked for by this task; or raise LeaseBusy where it may not wait."""
        raise NotImplementedError

    async def locked(self) -> bool:
        """Whether `acquire` would have to wait. One round trip; it may be otherwise when you have read it."""
        raise NotImplementedError

    def _keep(self, lease: L, task: "asyncio.Task[object]") -> L:
        """Have `release()` of this object find it."""
        if self._by_hand is None:
            self._by_hand = ByHand()
        self._by_hand.add(tenure_of(lease), task)
        return lease

    def _task(self) -> "asyncio.Task[object]":
        return cast("asyncio.Task[object]", asyncio.current_task(self._process.loop))

    def _entered(self, tenure: Tenure) -> None:
        """The calling task has entered a body."""

    def _left(self) -> None:
        """The calling task has left a body."""

    async def acquire(self) -> L:
        """Wait for a lease, first come first served. Cancelled: it leaves no trace. An outage is waited out.

        Nothing is cancelled when it is lost: `check()` and `release()` raise then.

        :raises ValueError: when the name is in use as another kind of lease.
        :raises RuntimeError: when this task would wait for the end of its own `async with`.
        :raises ConcurrencyError: when the session is closed, or the server refuses.
        """
        task = self._task()
        return self._keep(await self._grant(task, may_wait=True), task)

    async def acquire_nowait(self) -> L:
        """Return a lease that can be had at once. One round trip, none for a reader beside others of its session.

        It overtakes nobody who waits. An outage is waited out. `asyncio.timeout(0)` around `acquire` never gets one.

        :raises LeaseBusy: when `acquire` would wait, for this task's own `async with` too.
        :raises ValueError, ConcurrencyError: as `acquire`.
        """
        task = self._task()
        return self._keep(await self._grant(task, may_wait=False), task)

    def within(self, seconds: float) -> AbstractAsyncContextManager[L]:
        """The same `async with`, whose wait for the lease ends after so many seconds, an outage included; 0: at once.

        Its body takes as long as it likes.

        :raises LeaseBusy: when entered, when there was none within that time.
        :raises ValueError: when it is no time from 0 to a year.
        """
        return self._within(check_seconds("within", seconds, 0, _LONGEST_WAIT))

    @asynccontextmanager
    async def _within(self, seconds: float) -> AsyncIterator[L]:
        frame = sys._getframe()  # noqa: SLF001
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(seconds or None):
                    lease = await self._enter(frame, may_wait=seconds > 0)
            except TimeoutError as error:
                raise LeaseBusy(f"no lease within {seconds:g} s: others hold it or wait for it") from error
            stack.push_async_exit(partial(self._leave_body, frame))
            yield lease

    async def release(self) -> None:
        """Give back the calling task's own: the oldest that it acquired by hand, else that of its `async with`.

        A task without one gives back what another acquired by hand from this object, if that is the only one; of a
        Semaphore the oldest. Waits for the server's answer. Cancelled: the release goes on in the background.

        :raises RuntimeError: when there is none, or several of other tasks.
        :raises LeaseLost: when the calling task has lost all that it held; nothing is given back then.
        :raises WrongLoop: outside the event loop of the session.
        """
        self._process.check_here()
        task = self._task()
        try:
            tenure = self._own(task)
        except LeaseLost:
            if self._by_hand is not None:
                self._by_hand.forget_lost(task)
            raise
        if tenure is None:
            tenure, several = self._by_hand.first() if self._by_hand is not None else (None, False)
            if tenure is None:
                raise RuntimeError(
                    "release() of a lease that is not held: none of this object was acquired by hand and is held now"
                )
            if several and not self._ARE_ALIKE:
                raise RuntimeError(
                    "release() is ambiguous: this task acquired none, and several others hold what they acquired from "
                    "this object. Nothing was given back; use `release()` of the Lease that `acquire()` returned"
                )
        await tenure.release()

    def _own(self, task: "asyncio.Task[object]") -> Tenure | None:
        """The oldest live one that this task acquired by hand, else that of the last body that it is in.

        :raises LeaseLost: when the task has lost all that it held.
        """
        by_hand = self._by_hand.of_task(task) if self._by_hand is not None else ()
        for tenure in by_hand:
            if tenure.is_live:
                return tenure
        bodies = [tenure for tenure in self._bodies if tenure.task is task and not tenure.ended]
        for tenure in reversed(bodies):
            if tenure.is_live:
                return tenure
        if lost := [tenure for tenure in (*by_hand, *bodies) if tenure.is_lost]:
            raise lost[-1].loss()
        return None

    def __aenter__(self) -> Coroutine[Any, Any, L]:
        return self._enter(sys._getframe(1), may_wait=True)  # noqa: SLF001  # inspect's is the same, and slower

    async def _enter(self, frame: FrameType, *, may_wait: bool) -> L:
        task = self._task()
        lease = await self._grant(task, may_wait=may_wait)
        tenure = tenure_of(lease)
        tenure.begin(task, frame)
        self._bodies.append(tenure)
        self._entered(tenure)
        return lease

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Coroutine[Any, Any, None]:
        return self._leave_body(sys._getframe(1), kind, error, traceback)  # noqa: SLF001

    async def _leave_body(
        self,
        frame: FrameType,
        kind: type[BaseException] | None,  # noqa: ARG002  # as __aexit__
        error: BaseException | None,
        traceback: TracebackType | None,  # noqa: ARG002
    ) -> None:
        """Leave the body that stands in this frame."""
        self._process.check_here()
        bodies = self._bodies
        tenure = bodies[0] if len(bodies) == 1 else left_by(bodies, self._task(), frame)
        bodies.remove(tenure)
        try:
            await tenure.leave(error)
        finally:
            self._left()
