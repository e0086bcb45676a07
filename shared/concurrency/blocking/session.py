"""BlockingSession: one identity at one server, for synchronous code."""

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

from shared.concurrency import (
    ConcurrencyError,
    Event,
    Lock,
    Queue,
    Rate,
    RateLimit,
    ReadersWritersLease,
    Semaphore,
    Session,
    WrongLoop,
)
from shared.concurrency.blocking.background import Background
from shared.concurrency.blocking.event import BlockingEvent
from shared.concurrency.blocking.lease import BlockingLease
from shared.concurrency.blocking.locks import (
    BlockingAcquirable,
    BlockingLock,
    BlockingReadersWritersLease,
    BlockingReading,
    BlockingSemaphore,
    Held,
    Rule,
)
from shared.concurrency.blocking.options import LeaseOptions, PolicyOptions, QueueOptions, SessionOptions
from shared.concurrency.blocking.queue import BlockingQueue
from shared.concurrency.blocking.rate_limit import BlockingRateLimit

R = TypeVar("R")
T = TypeVar("T")


class BlockingSession:
    """A session whose calls block: for scripts, tests, web frameworks with threads, a shell.

    One background thread runs one event loop, with one Session in it. Any thread may call; calls of several threads
    travel together. It is refused where it could not end: in a forked child, in a thread whose event loop runs, in a
    callback of the background thread (WrongLoop), and after the end (ConcurrencyError). An interpreter that ends closes
    what is open. Each `timeout` is in seconds, raises TimeoutError, and covers an outage of the server too.
    """

    def __init__(self, url: str, *, blocks_loop: bool = False, **options: Unpack[SessionOptions]) -> None:
        """Prepare; `with`, or `open`, connects. The options are those of `Session.open`.

        `blocks_loop`: allow calls in a thread whose event loop runs, which stands still meanwhile: for a notebook.
        """
        self._background: Final = Background(lambda: Session.open(url, **options), blocks_loop=blocks_loop)
        self._held: Final = Held()
        self._session: Session | None = None

    def open(self) -> Self:
        """Connect. Raises as `Session.open`; RuntimeError when it is open."""
        if self._session is not None:
            raise RuntimeError("this session was opened before: make another one")
        self._session = self._background.start()
        return self

    def close(self) -> None:
        """Give back what is held, and disconnect. Any number of times; in a forked child it does nothing.

        :raises WrongLoop: in a callback of the background thread, which cannot wait for its own end.
        """
        if self._background.is_here():
            raise WrongLoop(
                "this is a callback in the thread of the session, which cannot end itself: close it elsewhere"
            )
        self._background.stop()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> Session:
        if self._session is None:
            raise ConcurrencyError("the session is not open: use it inside `with BlockingSession(...)`")
        return self._session

    def _made(self, make: Callable[[Session], R]) -> tuple[Background, R]:
        """Make a primitive in the loop, where it belongs."""
        session = self._opened()

        async def made() -> R:
            return make(session)

        return self._background, self._background.call(made)

    def run(self, use: Callable[[Session], Coroutine[Any, Any, R]], *, timeout: float | None = None) -> R:
        """Run a coroutine function in the background loop, with the Session: for all that has no blocking face.

        It must not block: the heartbeat and all calls wait for it.

        :raises TimeoutError: when it took longer; it is cancelled.
        """
        session = self._opened()
        return self._background.call(lambda: use(session), timeout)

    # --- what is made of it -----------------------------------------------------------------------------------------

    def queue(self, name: str, type: type[T], **options: Unpack[QueueOptions]) -> BlockingQueue[T]:  # noqa: A002  # as Queue
        """A queue; the options are those of `Queue`."""
        background, queue = self._made(lambda session: Queue(session, name, type, **options))
        return BlockingQueue(background, queue)

    def lock(self, name: str, **options: Unpack[LeaseOptions]) -> BlockingLock:
        """A lock; the options are those of `Lock`."""
        background, lock = self._made(lambda session: Lock(session, name, **options))
        return BlockingLock(background, lock, self._held, f"lock {name}", _no_other)

    def semaphore(self, name: str, limit: int, **options: Unpack[LeaseOptions]) -> BlockingSemaphore:
        """A semaphore; the options are those of `Semaphore`."""
        background, semaphore = self._made(lambda session: Semaphore(session, name, limit, **options))
        return BlockingSemaphore(background, semaphore, self._held, f"semaphore {name}", _fewer_than(limit))

    def readers_writers_lease(self, name: str, **options: Unpack[PolicyOptions]) -> BlockingReadersWritersLease:
        """A readers-writers lease; the options are those of `ReadersWritersLease`."""
        background, lease = self._made(lambda session: ReadersWritersLease(session, name, **options))
        family = f"readers-writers {name}"
        reading: BlockingAcquirable = BlockingReading(background, lease.read(), self._held, family, _no_writer)
        writing = BlockingAcquirable(background, lease.write(), self._held, family, _no_other)
        return BlockingReadersWritersLease(reading, writing, lambda: background.call(lease.statistics))

    def rate_limit(self, name: str, rate: Rate, *, ttl: float | None = None) -> BlockingRateLimit:
        """A rate limit; the arguments are those of `RateLimit`."""
        background, limit = self._made(lambda session: RateLimit(session, name, rate, ttl=ttl))
        return BlockingRateLimit(background, limit)

    def event(self, name: str) -> BlockingEvent:
        """An event."""
        background, event = self._made(lambda session: Event(session, name))
        return BlockingEvent(background, event)


def _no_other(held: list[BlockingLease]) -> str:
    return f"it holds {held[0].name!r} already" if held else ""


def _no_writer(held: list[BlockingLease]) -> str:
    return next((f"it writes {lease.name!r}" for lease in held if lease.mode == "write"), "")


def _fewer_than(limit: int) -> Rule:
    def rule(held: list[BlockingLease]) -> str:
        return f"it holds all {limit} permits of {held[0].name!r}" if len(held) >= limit else ""

    return rule
