"""BlockedLoop: a thread that reports when a handler blocks the event loop, and which one."""

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Iterable
from types import CodeType, FrameType
from typing import Any, Final, Self

from consumer.rules.handler import Handler
from shared.logs import Log

log = Log("consumer")

BLOCKED_SECONDS: Final = 0.5
"""How long the loop may stand still before it is reported."""
_BETWEEN_SECONDS: Final = 0.1
_GRACE_SECONDS: Final = 0.05


class BlockedLoop:
    """Reports when the running loop has not turned for half a second, and when it turns again.

    A thread checks ten times a second; messages cost nothing. While C code holds the GIL, the report waits until the
    code releases it. Use it as a context manager.
    """

    def __init__(self, handlers: Iterable[Handler]) -> None:
        """`handlers`: those that a report can name."""
        self._names: dict[CodeType, str] = {}
        for handler in handlers:
            code = getattr(handler.function, "__code__", None)
            if handler.place == "loop" and code is not None:
                self._names[code] = handler.name
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        arguments = (asyncio.get_running_loop(), threading.get_ident())
        threading.Thread(target=self._watch, args=arguments, name="blocked-loop", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Not joined: the thread may be waiting for this very loop to turn.
        self._stopped.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            while not self._stopped.wait(_BETWEEN_SECONDS):
                turned = threading.Event()
                since, worked = time.monotonic(), time.process_time()
                loop.call_soon_threadsafe(turned.set)
                if turned.wait(BLOCKED_SECONDS):
                    continue
                about = self._locate(sys._current_frames().get(thread))  # noqa: SLF001  # the documented way
                # A loop that stood still because its whole process did (SIGSTOP, sleep) turns as soon as both go on.
                if turned.wait(_GRACE_SECONDS) and time.process_time() - worked < (time.monotonic() - since) / 2:
                    continue
                self._report(turned, since, about)

    def _report(self, turned: threading.Event, since: float, about: dict[str, Any]) -> None:
        if self._stopped.is_set():
            return
        what = "a handler blocks the event loop" if "handler" in about else "the event loop is blocked"
        log.warning(what, seconds=round(time.monotonic() - since, 2), **about)
        while not turned.wait(BLOCKED_SECONDS):
            if self._stopped.is_set():
                return
        seconds = round(time.monotonic() - since, 2)
        log.warning("the event loop turns again", seconds=seconds, **about)

    def _locate(self, frame: FrameType | None) -> dict[str, Any]:
        """Return the line that the loop's thread is at, and the handler that led there, if one did."""
        if frame is None:
            return {}
        about: dict[str, Any] = {"where": f"{frame.f_code.co_filename}:{frame.f_lineno}"}
        while frame is not None:
            if frame.f_code in self._names:
                return {"handler": self._names[frame.f_code], **about}
            frame = frame.f_back
        return about
