"""Runs Python as at a terminal, and reads what it shows there."""

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence


def on_a_terminal(words: Sequence[str], variables: Mapping[str, str], typed: bytes = b"") -> tuple[int, bytes]:
    """Run `python WORDS...` to its end with stdout and stderr at a terminal; its exit code, and all it showed.

    `variables`: its environment. COLUMNS tells it how wide the terminal is. `typed`: what is typed there, if anything.
    """
    ours, theirs = pty.openpty()
    shown = b""
    command = [sys.executable, *words]
    stdin = theirs if typed else None
    with subprocess.Popen(
        command, env={"TERM": "xterm", **variables}, stdin=stdin, stdout=theirs, stderr=theirs
    ) as process:
        os.write(ours, typed)
        os.close(theirs)
        with contextlib.suppress(OSError):  # how a terminal ends
            while data := os.read(ours, 65536):
                shown += data
        os.close(ours)
    return process.returncode, shown
