"""Condition: wait under a lock for something that another process brings about."""

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar, cast

from shared.concurrency.checks import check_count
from shared.concurrency.errors import ConcurrencyError, LeaseLost
from shared.concurrency.locks.leases.keys import condition_keys
from shared.concurrency.locks.leases.tenure import Tenure
from shared.concurrency.locks.once import Once
from shared.concurrency.locks.place import Place
from shared.concurrency.locks.semaphore import Lock
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.futures import retrieve
from shared.concurrency.session.insurance import next_look
from shared.concurrency.session.parts import Listener
from shared.concurrency.session.session import Session
from shared.concurrency.session.tasks import outlast

T = TypeVar("T")

_AT_ONCE: Final = 250
"""So many are notified by one call: that takes the server a few milliseconds."""
_NOT_HELD: Final = (
    "this task does not hold the condition's lock: wait and notify inside `async with`. On Python 3.11 asyncio.wait_for "
    "runs what it waits for in another task: use `async with asyncio.timeout(seconds): await condition.wait()`"
)


class Condition(Lock):
    """A lock to wait under for what others bring about, in all processes; as asyncio.Condition.

    It is the Lock of its name, too: `Lock(session, name)` excludes it. What differs: `notify` and `notify_all` are
    coroutines; the predicate of `wait_for` may be a coroutine function, because what it looks at is mostly on a server;
    on Python 3.11 `asyncio.wait_for(condition.wait(), ...)` raises RuntimeError, because it waits in another task: use
    `asyncio.timeout`; a notification can be lost with the process that received it, so `wait_for` looks at its
    predicate again at least once in a time to live. Prefer it to `wait`.
    """

    def __init__(self, session: Session, name: str, *, ttl: float | None = None) -> None:
        """Prepare; `ttl`: of the lock, in seconds, by default the session's.

        :raises ValueError: when an argument is out of range.
        """
        super().__init__(session, name, ttl=ttl)
        self._keys = {**condition_keys(self._participant.stored_name), **self._participant.keys}
        self._once = Once(self._process, self._keys)

    async def wait(self) -> bool:
        """Give back the lock, wait for a notification, take the lock again; True.

        The same Lease holds the lock then, with a new token. Cancelled, it takes the lock again before it raises
        CancelledError, and passes on a notification that came meanwhile.

        :raises RuntimeError: when this task does not hold the lock.
        :raises LeaseLost: when the lock was lost, or cannot be taken again.
        """
        await self._wait(None)
        return True

    async def wait_for(self, predicate: Callable[[], T | Awaitable[T]]) -> T:
        """Wait until the predicate is true, and return its value. It is called while the lock is held.

        :raises RuntimeError, LeaseLost: as `wait`; and what the predicate raises, with the lock still held.
        """
        self._held()
        while True:
            value = predicate()
            result = await value if inspect.isawaitable(value) else value
            if result:
                return cast("T", result)
            await self._wait(self._ttl)

    async def notify(self, n: int = 1) -> None:
        """Wake `n` of those who wait, in order of arrival; they go on when this task gives back the lock.

        :raises ValueError: when `n` is negative or no whole number.
        :raises RuntimeError: when this task does not hold the lock.
        :raises LeaseLost: when it has lost it; nobody is woken then.
        """
        check_count("n", n, 0, None)
        held = self._held()
        if n:
            await self._notify(held, n)

    async def notify_all(self) -> None:
        """Wake everyone who waits.

        :raises RuntimeError, LeaseLost: as `notify`.
        """
        held = self._held()
        # In portions: nobody begins to wait while this task holds the lock.
        while await self._notify(held, _AT_ONCE) == _AT_ONCE:
            pass

    async def _notify(self, held: Tenure, count: int) -> int:
        notified = await self._once.call("condition_notify", held.hold.id, count)
        if notified < 0:
            raise held.loss()
        return int(notified)

    def _held(self) -> Tenure:
        self._process.check_here()
        held = self._own(self._task())
        if held is None:
            held, several = self._by_hand.first() if self._by_hand is not None else (None, False)
            if held is None or several:
                raise RuntimeError(_NOT_HELD)
        return held

    async def _wait(self, longest: float | None) -> None:
        held = self._held()
        with self._process.background.underway:
            await self._wait_under(held, longest)

    async def _wait_under(self, held: Tenure, longest: float | None) -> None:
        place = Place(self._process, self._keys, self._ttl)
        try:
            # While the lock is held: whoever notifies from here on finds this waiter.
            await self._ask(place)
        except (asyncio.CancelledError, ConcurrencyError) as error:
            # The server may know the waiter. It leaves before the lock is given back, or it takes a notification.
            cancelled = await outlast(self._in_background(self._leave(place)), held.hold.left)
            if cancelled is not None:
                try:
                    raise cancelled from error
                finally:
                    del cancelled  # as below
            raise
        failure: asyncio.CancelledError | ConcurrencyError | None = None
        try:
            if not await held.suspend():
                held.resume(held.hold)
                raise await outlast(self._in_background(self._leave(place))) or held.loss()
            await self._until_notified(place, longest)
        except LeaseLost:
            raise
        except (asyncio.CancelledError, ConcurrencyError) as error:
            failure = error
        notified, cancelled = await self._to_the_end(self._end_wait(held, place, self._task().get_name()))
        failure = cancelled or failure
        if failure is not None:
            if notified:
                await self._to_the_end(self._leave(place, pass_on=True))
            try:
                raise failure
            finally:
                del failure, cancelled  # their traceback leads to this frame, and keeps the name in the process

    async def _to_the_end(self, what: Coroutine[Any, Any, T]) -> tuple[T, asyncio.CancelledError | None]:
        """The result of what must not be left half done, and the last cancellation meanwhile."""
        task = self._in_background(what)
        cancelled = await outlast(task)
        if task.cancelled():
            raise ConcurrencyError("the session was closed before the server answered")
        return task.result(), cancelled

    async def _until_notified(self, place: Place, longest: float | None) -> None:
        """Wait for its notification, `longest` seconds at most.

        Nobody looks before it goes on: so those whom one call notifies go on in the order in which they came.
        """
        with self._process.listening(b"notified", self._participant.stored_name, place.id) as notified:
            staying = asyncio.create_task(self._stay(place, notified), name="weir-condition-place")
            staying.add_done_callback(retrieve)
            staying.add_done_callback(lambda _: notified.set())
            try:
                async with asyncio.timeout(longest):
                    while not (notified.received or staying.done()):
                        notified.clear()
                        await notified.wait()
            except TimeoutError:
                pass  # the predicate is looked at again
            finally:
                staying.cancel()
        if staying.done() and not staying.cancelled():
            staying.result()

    async def _stay(self, place: Place, notified: Listener) -> None:
        """Keep the waiter's place, until it was notified; what was said while the connection was away is looked up."""
        began = boottime()
        while not await self._ask(place):
            try:
                async with asyncio.timeout(min(next_look(boottime() - began), self._ttl / 3)):
                    await notified.wait()
            except TimeoutError:
                pass

    async def _ask(self, place: Place) -> bool:
        """Wait on; True when a notification has come."""
        return bool(await place.ask("condition_wait"))

    async def _leave(self, place: Place, *, pass_on: bool = False) -> bool:
        """Wait no more; True when a notification had come. `pass_on`: the next waiter is notified in place of this one.

        A session that is being closed still says it.
        """
        had_come, was_lost = await place.leave("condition_leave", int(pass_on))
        # The answer that was lost may have said it: better wake one too many.
        return bool(had_come) or was_lost

    async def _end_wait(self, held: Tenure, place: Place, by: str) -> bool:
        """Take the lock again; True when a notification had come."""
        notified = False
        try:
            notified = await self._leave(place)
            hold = await self._participant.asking.acquire("p", "lock", self._ttl, None, by=by)
        except asyncio.CancelledError:  # the session was closed, and the server is out of reach
            held.abandon()
            raise
        except (ConcurrencyError, ValueError) as error:
            held.abandon()
            if notified:
                with contextlib.suppress(ConcurrencyError):  # the same one, which says why
                    await self._leave(place, pass_on=True)
            raise LeaseLost(
                f"the lock of the condition {self._participant.name} could not be taken again: {error}"
            ) from error
        held.resume(hold)
        return notified

    def _in_background(self, what: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        return self._process.background.start(what, name="weir-condition")
