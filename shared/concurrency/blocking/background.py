"""Background: one thread with one event loop and one session in it, which synchronous callers send their calls to."""

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

from shared.concurrency import ConcurrencyError, Session, WrongLoop

R = TypeVar("R")

Call = Callable[[], Coroutine[Any, Any, R]]


class Background:
    """The thread behind a blocking session. Any thread may call; each call is a task of the loop."""

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[Session]], *, blocks_loop: bool) -> None:
        """`opening` opens the session; `blocks_loop`: whether calls are allowed where an event loop runs."""
        self._opening: Final = opening
        self._blocks_loop: Final = blocks_loop
        self._pid: Final = os.getpid()
        self._opened: concurrent.futures.Future[Session] = concurrent.futures.Future()
        self._gate: Final = threading.Lock()
        """Held where a call is sent and where the end begins: no call comes after the end."""
        self._thread: Final = threading.Thread(target=self._run, name="weir-blocking", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._closing: Final = asyncio.Event()
        self._ended = False

    def start(self) -> Session:
        """Start the thread, and wait until the session is open. Raises what `Session.open` raises."""
        self.check_here()
        self._thread.start()
        # What an interpreter that ends finds open is closed while the thread still runs.
        atexit.register(self.stop)
        try:
            return self._opened.result()
        except BaseException:
            self.stop()
            raise

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  # it goes to whoever opens
            if not self._opened.done():
                self._opened.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._opening() as session:
            self._opened.set_result(session)
            if not self._ended:
                await self._closing.wait()

    def is_here(self) -> bool:
        """Whether this is its own thread: a callback."""
        return threading.current_thread() is self._thread

    def check_here(self) -> None:
        """Refuse a caller who would wait for ever, or stop an event loop.

        :raises WrongLoop: in a forked child, and in a thread whose event loop runs.
        """
        if os.getpid() != self._pid:
            raise WrongLoop(
                "this session was opened before the fork, by the parent: open a BlockingSession in the child"
            )
        if self.is_here():
            raise WrongLoop(
                "this is a callback in the thread of the session, which would wait for itself: call elsewhere"
            )
        if self._blocks_loop:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise WrongLoop(
            "an event loop runs in this thread, and a blocking call would stop it: use `async with Session.open(...)` "
            "there, or await asyncio.to_thread(...); in a notebook BlockingSession(url, blocks_loop=True)"
        )

    def call(self, make: Call[R], timeout: float | None = None) -> R:
        """Run a coroutine in the loop, and wait for what it returns; interrupted, it is cancelled there.

        :raises TimeoutError: when it took longer; it is cancelled first, which may take half a second.
        :raises WrongLoop: as `check_here`. ConcurrencyError: when the session is closed.
        """
        self.check_here()

        async def bounded() -> R:
            async with asyncio.timeout(timeout):
                return await make()

        with self._gate:
            if self._ended:
                raise ConcurrencyError("the session is closed: use it inside `with BlockingSession(...)`")
            future = asyncio.run_coroutine_threadsafe(bounded(), self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ConcurrencyError("the session was closed while this call was waiting") from None
        except BaseException:
            future.cancel()  # nothing, unless it was the waiting that was interrupted
            raise

    def soon(self, do: Callable[[], object]) -> None:
        """Do something in the loop, and wait for nothing; never, when the session is closed."""
        with self._gate:
            if not self._ended and os.getpid() == self._pid:
                self._loop.call_soon_threadsafe(do)

    def stop(self) -> None:
        """Close the session, and wait for the end of the thread. Any number of times; nothing in a forked child."""
        if os.getpid() != self._pid:
            return
        with self._gate:
            is_first, self._ended = not self._ended, True
            is_open = self._opened.done() and self._opened.exception() is None
            if is_first and is_open:
                with contextlib.suppress(RuntimeError):  # it ended by itself
                    self._loop.call_soon_threadsafe(self._closing.set)
        # Where the wait for its opening was interrupted, it ends after `connect_timeout`, unwatched.
        if self._opened.done():
            self._thread.join()
        atexit.unregister(self.stop)
