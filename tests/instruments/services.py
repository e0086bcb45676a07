"""Services of the tests' application, or of another copy of the project, as OS processes without their start."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from tests.instruments.application import application
from tests.instruments.command_line import environment
from tests.instruments.prepared import Started, start

_HEAD: Final = """
import asyncio
import os
import signal
import threading
import time

from consumer.batches import Batch, Gather
from consumer.outcomes import Reject, Retry
from consumer.registry import handles
from consumer.rules.backoff import Backoff
from shared.messages import Errand
from shared.pipeline import Pipeline

"""
"""What the handlers of `consuming` import."""


class Lines:
    """What a process says, line by line."""

    def __init__(self, descriptor: int) -> None:
        """Read from this end of a pipe."""
        self._pipe = open(descriptor, "rb", 0)  # noqa: SIM115  # a descriptor, which `close` closes
        self._unread = b""

    def __iter__(self) -> Iterator[str]:
        """Wait for each line, to the end."""
        while True:
            line, end, rest = self._unread.partition(b"\n")
            if end:
                self._unread = rest
                yield (line + end).decode()
            elif not self.hear(None):
                if last := self.rest():
                    yield last
                return

    def hear(self, timeout: float | None) -> bool:
        """Wait until there is more, so many seconds; False at the end."""
        if timeout is not None and not select.select([self._pipe], [], [], max(0.0, timeout))[0]:
            raise subprocess.TimeoutExpired("what a process says", timeout)
        data = self._pipe.read(1 << 16)
        self._unread += data
        return bool(data)

    def rest(self) -> str:
        """What was heard, and is not read yet."""
        rest, self._unread = self._unread, b""
        return rest.decode()

    def close(self) -> None:
        """Read no more: who writes on finds a broken pipe."""
        self._pipe.close()


class Service:
    """A running service, and what it says on stderr; used as a `Popen[str]` is."""

    def __init__(self, process: Started, stderr: Lines) -> None:
        """Use `running`."""
        self._process = process
        self.stderr = stderr

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, once somebody has seen its end."""
        return self._process.returncode

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float) -> int:
        """Wait for its end, so many seconds; its exit code."""
        return self._process.wait(timeout)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        self._process.send_signal(number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float) -> tuple[None, str]:
        """Wait for its end, so many seconds; what it said and nobody has read."""
        deadline = time.monotonic() + timeout
        while self.stderr.hear(deadline - time.monotonic()):
            pass
        self.wait(max(0.0, deadline - time.monotonic()))
        return None, self.stderr.rest()


@contextmanager
def running(module: str, root: Path | None = None, /, **settings: str) -> Iterator[Service]:
    """A service of the project in `root`, which is the application of the tests if nothing else is said.

    It is killed at the end of the block.
    """
    out, into = os.pipe()
    with closing(Lines(out)) as stderr:
        process = start_of_copy(module, into, root, settings)
        try:
            yield Service(process, stderr)
        finally:
            process.kill()
            process.wait()


@contextmanager
def consuming(copy: Path, handlers: str, url: str, name: str, **more: str) -> Iterator[Service]:
    """The consumer service of a copy of the project at this queue, with these handlers; their imports are given."""
    (copy / "consumer" / "handlers.py").write_text(_HEAD + handlers)
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_GRACE": "5", "PIPELINE_CONCURRENCY": "2", **more}
    with running("consumer", copy, PYTHONWARNINGS="error", **settings) as service:
        yield service


def start_of_copy(module: str, into: int, root: Path | None, settings: dict[str, str]) -> Started:
    """Start a module of the project in `root`; what it says goes to the descriptor `into`, which is closed here.

    PYTHONWARNINGS=error makes its warnings errors, as `-W error` does.
    """
    folder = str(root or application())
    variables = environment(**{"PYTHONPATH": folder, **settings})
    request = {"module": module, "arguments": (), "variables": variables, "folder": folder}
    try:
        return start(request, 1, into, strict=variables.get("PYTHONWARNINGS") == "error")
    finally:
        os.close(into)


def wait_for(process: "Service | subprocess.Popen[str]", word: str) -> list[str]:
    """Read what a process says until it says this; the lines, with that one."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError(f"it ended without saying {word!r}")
