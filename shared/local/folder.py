"""The folder of the embedded server: one server in it at a time, and a path for its socket that is short enough."""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from shared.local.server_error import EmbeddedServerError

# The shortest limit of the systems that we know: macOS takes 104 bytes with the closing zero, Linux 108.
_LONGEST_SOCKET_PATH = 103


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold `folder` for one server; wait 2 seconds for a server that is just ending. Raises EmbeddedServerError."""
    deadline = time.monotonic() + 2
    with (folder / "server.lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"another server runs in {folder}: use that one, or stop it first"
                    ) from None
                time.sleep(0.02)
        yield file.fileno()


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path leaves room for a socket's name."""
    longest = _LONGEST_SOCKET_PATH - len("/weir-12345678/server.sock")
    usual = tempfile.gettempdir()
    place = usual if len(os.fsencode(usual)) <= longest else "/tmp"  # noqa: S108  # a fresh folder of our own in it
    with tempfile.TemporaryDirectory(prefix="weir-", dir=place) as folder:
        yield Path(folder)


def is_too_long(socket: Path) -> bool:
    """Whether a system that we know takes no socket with this path."""
    return len(os.fsencode(socket)) > _LONGEST_SOCKET_PATH
