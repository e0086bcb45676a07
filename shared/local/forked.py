"""What children begin with that a handler forks, as `multiprocessing` does: nothing of the service's own signals."""

import contextlib
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Final

Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None

# Linux: which signal a descriptor sends when something happens to it. The module fcntl does not name it.
_F_SETSIG: Final = 10


class Forks:
    """From here on, forked children get the handlers that were there before ours, and end with this process.

    They inherit ours else: `terminate()` would be ignored, and through the event loop's wake-up descriptor it would be
    the service that ends. A signal that comes while a child is made waits until it is ready, and is not lost. On Linux
    a child is killed when this process ends, in whatever way; one that becomes another program is not.
    """

    def __init__(
        self, ours: Callable[[int, FrameType | None], object], before: Mapping[signal.Signals, Handler]
    ) -> None:
        """`ours`: the handler of these signals; `before`: what each had before, as `signal.signal` returned it."""
        self._ours = ours
        self._before = dict(before)
        self._masks = threading.local()
        self._alive, self._life = os.pipe()
        os.register_at_fork(before=self._block, after_in_parent=self._unblock, after_in_child=self._in_child)

    def _block(self) -> None:
        self._masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, self._before)

    def _unblock(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.before)

    def _in_child(self) -> None:
        for ending, handler in self._before.items():
            if signal.getsignal(ending) == self._ours:
                signal.signal(ending, handler)
        signal.set_wakeup_fd(-1)
        if self._life >= 0:
            os.close(self._life)  # only the service holds it open
            self._life = -1
        with contextlib.suppress(OSError):
            self._end_with_service()
        self._unblock()

    def _end_with_service(self) -> None:
        if sys.platform != "linux":
            return
        # Opened anew, for owner and signal belong to an open file, which parent and child would share. Not the kernel's
        # parent-death signal: that comes when the thread ends which forked.
        end = os.open(f"/proc/self/fd/{self._alive}", os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(end, _F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
        try:
            if not os.read(end, 1):
                os.kill(os.getpid(), signal.SIGKILL)  # it ended before the kernel knew
        except BlockingIOError:
            pass  # it lives
