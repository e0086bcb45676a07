"""`--check`: asks the service's process in this container whether it is well. No server is asked, and no port is open.

A container runs it every few seconds: it imports the standard library alone.
"""

import socket
import sys
from pathlib import Path
from typing import Final

from shared.health.place import sockets

PATIENCE: Final = 3.0
"""Seconds after which an event loop that does not answer counts as hung."""


def check_instead(service: str) -> None:
    """End the process with the answer, if its only argument is --check."""
    if sys.argv[1:] == ["--check"]:
        problem = check(service)
        if problem:
            sys.stderr.write(f"{service}: {problem}\n")
        sys.exit(bool(problem))


def check(service: str, patience: float = PATIENCE) -> str:
    """Ask every process of a service on this machine; what is wrong with the first that is not well, else nothing."""
    is_there = False
    for pid, path in sockets(service):
        answer = _ask(path, patience)
        if answer is None:
            path.unlink(missing_ok=True)  # of a process that was killed
            continue
        is_there = True
        if answer:
            return f"process {pid}: {answer}"
    return "" if is_there else "no such process has begun its work here"


def _ask(path: Path, patience: float) -> str | None:
    """What a process answers: nothing when it is well. None: there is no such process any more."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(patience)
        try:
            asking.connect(str(path))
            answer = b""
            while part := asking.recv(4096):
                answer += part
        except TimeoutError:
            return f"its event loop has not turned for {patience:g} s"
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except OSError as error:
            return f"it cannot be asked: {error}"
        return answer.decode(errors="replace")
