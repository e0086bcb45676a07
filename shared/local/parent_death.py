"""Ends a child process when this process ends, in whatever way: kill -9 included."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

_PR_SET_PDEATHSIG = 1
_WATCHDOG = "import os, sys; sys.stdin.buffer.read(); os.kill(int(sys.argv[1]), int(sys.argv[2]))"


def kernel_ties() -> bool:
    """Return whether the kernel itself ends our children with us: on Linux, for those started from the main thread.

    Linux ends a child when the *thread* that started it ends, so other threads need watched() as well.
    """
    return sys.platform == "linux" and threading.current_thread() is threading.main_thread()


def tied(ending: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """Return a `preexec_fn`: the child starts with no signal blocked, and gets `ending` when we end (kernel_ties())."""
    parent = os.getpid()
    # Loaded before the fork: the child of a process with threads must not import anything.
    prctl = ctypes.CDLL(None, use_errno=True).prctl if kernel_ties() else None

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, int(ending), 0, 0, 0)
            if os.getppid() != parent:  # we ended before the kernel knew
                os.kill(os.getpid(), ending)

    return prepare


def end_with(parent: int) -> None:
    """Have the kernel end this process when its parent, of that process id, ends. On Linux; see kernel_ties()."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # the parent ended before the kernel knew
        os._exit(1)


@contextlib.contextmanager
def watched(pid: int, ending: signal.Signals = signal.SIGKILL) -> Iterator[None]:
    """Have a small process send `ending` to `pid` if we end inside the block; leaving the block ends that process.

    For systems whose kernel does not do it. It reads a pipe that only we hold open: when we end, in whatever way, the
    pipe closes.
    """
    command = [sys.executable, "-I", "-S", "-c", _WATCHDOG, str(pid), str(int(ending))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as watchdog:
        try:
            yield
        finally:
            watchdog.kill()
