"""BlockingQueue: a Queue for synchronous code."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import monotonic
from typing import Any, Final, Generic, TypeVar, overload

from shared.concurrency import (
    Cancellation,
    DeadLetter,
    Delivery,
    Priority,
    Queue,
    QueueLimit,
    QueueShare,
    QueueShutDown,
    QueueStatistics,
    Rate,
    ResultFuture,
)
from shared.concurrency.blocking.background import Background
from shared.concurrency.blocking.delivery import BlockingDelivery
from shared.concurrency.blocking.result import BlockingResult
from shared.concurrency.queues.results.submitter import HasResult

T = TypeVar("T")
R = TypeVar("R")

_PORTION: Final = 500


class BlockingQueue(Generic[T]):
    """A first-in, first-out queue with a bound, shared by all processes; see Queue for what each call means.

    Each `timeout` is in seconds and raises TimeoutError. A put that timed out is withdrawn: it is not in the queue,
    unless it had been let in already or the server was out of reach. What has no method here (`get_many`, `sessions`,
    `letters`, ...) goes by `BlockingSession.run`.
    """

    def __init__(self, background: Background, queue: Queue[T]) -> None:
        """Made by the blocking session."""
        self._background: Final = background
        self._queue: Final = queue
        self.name: Final = queue.name
        self.full_name: Final = queue.full_name

    # --- putting ----------------------------------------------------------------------------------------------------

    def put(
        self,
        item: T,
        *,
        id: str | None = None,  # noqa: A002  # the public name
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Put an item; waits while the queue is full. Raises as Queue.put."""
        return self._background.call(
            lambda: self._queue.put(item, id=id, key=key, share=share, priority=priority, limit=limit), timeout
        )

    def put_nowait(
        self,
        item: T,
        *,
        id: str | None = None,  # noqa: A002
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
    ) -> bool:
        """Put an item if there is room now. Raises as Queue.put_nowait."""
        return self._background.call(
            lambda: self._queue.put_nowait(item, id=id, key=key, share=share, priority=priority, limit=limit)
        )

    def put_unique(
        self,
        item: T,
        name: str,
        *,
        replace: bool = False,
        calm: float | None = None,
        longest: float | None = None,
        every: float | None = None,
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Put an item of which one at most waits under a name. Raises as Queue.put_unique."""
        asked: dict[str, Any] = {"calm": calm, "longest": longest, "every": every}
        asked |= {"key": key, "share": share, "priority": priority, "limit": limit}
        return self._background.call(lambda: self._queue.put_unique(item, name, replace=replace, **asked), timeout)

    def put_many(
        self,
        items: Iterable[T],
        *,
        key: str | Callable[[T], str | None] | None = None,
        share: str | Callable[[T], str | None] | None = None,
        priority: Priority | Callable[[T], Priority | None] | None = None,
        limit: str | Callable[[T], str | None] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Put items in order, as room appears. The iterable is read in this thread, 500 items at once.

        Raises as Queue.put_many; a note on the exception says how many of earlier portions went in.
        """
        way: dict[str, Any] = {"key": key, "share": share, "priority": priority, "limit": limit}
        left, done, end = iter(items), 0, None if timeout is None else monotonic() + timeout
        while portion := list(islice(left, _PORTION)):
            seconds = None if end is None else max(0.0, end - monotonic())
            try:
                self._background.call(lambda portion=portion: self._queue.put_many(portion, **way), seconds)  # type: ignore[misc]  # a default of a lambda has no type
            except BaseException as error:
                if done:
                    error.add_note(f"{done} items of earlier portions went in")
                raise
            done += len(portion)

    @overload
    def submit(
        self,
        item: HasResult[R],
        *,
        id: str | None = None,
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
        timeout: float | None = None,
    ) -> BlockingResult[R]: ...
    @overload
    def submit(
        self,
        item: T,
        *,
        id: str | None = None,
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
        timeout: float | None = None,
    ) -> BlockingResult[Any]: ...
    def submit(
        self,
        item: Any,
        *,
        id: str | None = None,  # noqa: A002
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
        timeout: float | None = None,
    ) -> BlockingResult[Any]:
        """Put an item, and return the future of its result; `timeout` is that of the put. Raises as Queue.submit."""

        async def submit() -> BlockingResult[Any]:
            future: ResultFuture[Any] = await self._queue.submit(
                item, id=id, key=key, share=share, priority=priority, limit=limit
            )
            return BlockingResult(self._background, future)

        return self._background.call(submit, timeout)

    @overload
    def result(self, id: str, of: type[HasResult[R]], *, timeout: float | None = None) -> BlockingResult[R]: ...
    @overload
    def result(self, id: str, of: None = None, *, timeout: float | None = None) -> BlockingResult[Any]: ...
    def result(self, id: str, of: type[Any] | None = None, *, timeout: float | None = None) -> BlockingResult[Any]:  # noqa: A002
        """The future of a message that any process submitted under this id. Raises as Queue.result.

        Cancelling it only stops listening.
        """

        async def result() -> BlockingResult[Any]:
            future: ResultFuture[Any] = await self._queue.result(id, of)
            return BlockingResult(self._background, future)

        return self._background.call(result, timeout)

    # --- getting ----------------------------------------------------------------------------------------------------

    def get(self, *, timeout: float | None = None) -> BlockingDelivery[T]:
        """Take the next message; waits while there is none. Raises as Queue.get."""
        return self._delivery(self._background.call(self._queue.get, timeout))

    def get_nowait(self) -> BlockingDelivery[T]:
        """Take the next message if there is one. Raises as Queue.get_nowait."""
        return self._delivery(self._background.call(self._queue.get_nowait))

    def _delivery(self, delivery: Delivery[T]) -> BlockingDelivery[T]:
        return BlockingDelivery(self._background, delivery)

    def __iter__(self) -> Iterator[BlockingDelivery[T]]:
        """Take messages until the queue is shut down and finished; each is yours to settle."""
        while True:
            try:
                yield self.get()
            except QueueShutDown:
                return

    # --- the queue as a whole ---------------------------------------------------------------------------------------

    def qsize(self) -> int:
        """How many messages are pending."""
        return self._background.call(self._queue.qsize)

    def statistics(self) -> QueueStatistics:
        """Count the queue."""
        return self._background.call(self._queue.statistics)

    def join(self, *, timeout: float | None = None) -> None:
        """Wait until every message is acknowledged or a dead letter."""
        self._background.call(self._queue.join, timeout)

    def cancel(self, id: str, *, timeout: float = 5.0) -> Cancellation:  # noqa: A002
        """Cancel a message, in any state; as Queue.cancel, whose `timeout` raises nothing."""
        return self._background.call(lambda: self._queue.cancel(id, timeout=timeout))

    def cancel_unique(self, name: str, *, timeout: float = 5.0) -> Cancellation:
        """Cancel the message that waits under a name; as Queue.cancel_unique, whose `timeout` raises nothing."""
        return self._background.call(lambda: self._queue.cancel_unique(name, timeout=timeout))

    def forget(self, id: str) -> bool:  # noqa: A002
        """Forget an id; as Queue.forget."""
        return self._background.call(lambda: self._queue.forget(id))

    def shutdown(self, immediate: bool = False) -> None:  # noqa: FBT001, FBT002  # asyncio's signature
        """Shut the queue down for all processes; as Queue.shutdown."""
        self._background.call(lambda: self._queue.shutdown(immediate))

    def reopen(self) -> None:
        """End a shutdown."""
        self._background.call(self._queue.reopen)

    def pause(self) -> None:
        """Hand out nothing, in any process, until `resume`."""
        self._background.call(self._queue.pause)

    def resume(self) -> None:
        """End a pause."""
        self._background.call(self._queue.resume)

    def resize(self, maxsize: int) -> None:
        """Change the stored bound; 0 for none."""
        self._background.call(lambda: self._queue.resize(maxsize))

    def limit(self, name: str, *, at_once: int | None = None, rate: Rate | None = None) -> None:
        """Limit the messages that were put with this `limit=`; as Queue.limit."""
        self._background.call(lambda: self._queue.limit(name, at_once=at_once, rate=rate))

    def limit_shares(self, *, at_once: int | None = None, rate: Rate | None = None) -> None:
        """Limit the messages of each share alike; as Queue.limit_shares."""
        self._background.call(lambda: self._queue.limit_shares(at_once=at_once, rate=rate))

    def limits(self) -> list[QueueLimit]:
        """The limits of the queue, and how many messages of each are in hands and wait."""
        return self._background.call(self._queue.limits)

    def weigh(self, share: str, weight: float) -> None:
        """Give a share so many turns for each of another one; as Queue.weigh."""
        self._background.call(lambda: self._queue.weigh(share, weight))

    def shares(self, most: int = 20) -> list[QueueShare]:
        """The shares that have most in the queue; as Queue.shares."""
        return self._background.call(lambda: self._queue.shares(most))

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """Read the oldest dead letters."""
        return self._background.call(lambda: self._queue.dead_letters(limit))

    def replay(self, keys: Iterable[str] | None = None) -> int:
        """Put dead letters back; as Queue.replay."""
        return self._background.call(lambda: self._queue.replay(keys))

    def discard(self, keys: Iterable[str] | None = None) -> int:
        """Delete dead letters; returns how many."""
        return self._background.call(lambda: self._queue.discard(keys))
