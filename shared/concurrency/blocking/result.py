"""BlockingResult: what a submitter holds until its message has been handled, in synchronous code."""

import asyncio
import concurrent.futures
import threading
from typing import Final, TypeVar

from shared.concurrency import Cancellation, Progress, ResultFuture
from shared.concurrency.blocking.background import Background

R = TypeVar("R")


class BlockingResult(concurrent.futures.Future[R]):
    """The result of a message, as a concurrent.futures.Future: `result(timeout)`, `wait`, `as_completed`.

    It fails as a ResultFuture does. `cancel()` withdraws a message that nobody has taken and whose future is that of
    `submit`, and waits for nothing. Callbacks run in the thread of the session: a call there that waits is refused.
    """

    def __init__(self, background: Background, future: ResultFuture[R]) -> None:
        """Made by `BlockingQueue.submit` and `.result`, in the loop."""
        super().__init__()
        self._background: Final = background
        self._future: Final = future
        self._deciding: Final = threading.RLock()  # a callback may cancel
        future.add_done_callback(self._take)

    @property
    def id(self) -> str:
        """The `id=` given to `submit`, or a generated one."""
        return self._future.id

    @property
    def progress(self) -> Progress | None:
        """The newest report of the handler that is known here; None before the first."""
        return self._future.progress

    def result(self, timeout: float | None = None) -> R:
        """Wait for the result.

        :raises TimeoutError: when it is not there after so many seconds; the message is handled all the same.
        :raises WrongLoop: in a forked child, and where an event loop runs, unless it is done.
        """
        if not self.done():
            self._background.check_here()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the end; what it failed with, or None. Raises as `result`."""
        if not self.done():
            self._background.check_here()
        return super().exception(timeout)

    def cancel(self) -> bool:
        """Cancel the message, if nobody has taken it yet, and give up waiting; False when there is an outcome."""
        with self._deciding:
            if self.done():
                return self.cancelled()
            super().cancel()
            self.set_running_or_notify_cancel()
        self._background.soon(self._future.cancel)
        return True

    def cancel_message(self, *, timeout: float = 5.0) -> Cancellation:
        """Cancel the message itself, in any state: as `ResultFuture.cancel_message`."""
        return self._background.call(lambda: self._future.cancel_message(timeout=timeout))

    def _take(self, future: "asyncio.Future[R]") -> None:
        error = None if future.cancelled() else future.exception()  # looked at, wanted or not
        with self._deciding:
            if self.done():
                return
            if future.cancelled():
                super().cancel()
                self.set_running_or_notify_cancel()
            elif error is None:
                self.set_result(future.result())
            else:
                self.set_exception(error)
