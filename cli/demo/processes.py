"""The demo's processes: services that are started, killed and stopped, and never outlive the demo."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.local.parent_death import kernel_ties, tied, watched

_ROOT = Path(__file__).resolve().parent.parent.parent
_PATIENCE = 10.0


class Process:
    """One service in an OS process of its own; what it says goes to a file."""

    def __init__(self, module: str, environment: Mapping[str, str], said: Path) -> None:
        """Start `python -m module`. It ends when we end, and has its own session, so that Ctrl-C reaches only us."""
        self.module = module
        self._said = said
        self._watchdog = ExitStack()
        with said.open("wb") as file:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=_ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=tied(),  # noqa: PLW1509  # it only calls the kernel
            )
        if not kernel_ties():
            self._watchdog.enter_context(watched(self.pid))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs; negative for a signal."""
        return self._popen.poll()

    def send(self, ending: signal.Signals) -> None:
        """Send a signal, if it is there still."""
        self._popen.send_signal(ending)

    def said(self) -> str:
        """The last lines it said."""
        return "\n".join(self._said.read_text(errors="replace").splitlines()[-5:])

    def wait(self, seconds: float) -> None:
        """Wait until it has ended; kill it after so many seconds."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._watchdog.close()


class Processes:
    """All services of one demo."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        """Prepare. `settings`: the environment variables for all of them; nobody else's PIPELINE_ ones."""
        self._directory = directory
        kept = {
            name: value for name, value in os.environ.items() if not name.upper().startswith(("PIPELINE_", "REDIS_URL"))
        }
        path = os.pathsep.join(filter(None, [str(_ROOT), kept.get("PYTHONPATH", "")]))
        self._environment = {**kept, **settings, "PYTHONPATH": path}
        self._started = 0
        self.producers: list[Process] = []
        self.consumers: list[Process] = []
        self.clocks: list[Process] = []
        self.monitors: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(
            self.producers + self.consumers + self.clocks + self.monitors, seconds=0 if error is not None else _PATIENCE
        )

    def _start(self, module: str, **settings: str) -> Process:
        self._started += 1
        said = self._directory / f"{self._started:03d}-{module}.log"
        return Process(module, {**self._environment, **settings}, said)

    def start_producer(self, count: int) -> None:
        """Start one of so many producers, which claims a share of the files."""
        self.producers.append(self._start("producer", PIPELINE_SHARES=str(count)))

    def start_clock(self) -> None:
        """Start the clock."""
        self.clocks.append(self._start("producer.clock"))

    def start_monitor(self, port: int) -> Process:
        """Start the page's server."""
        monitor = self._start("monitor", PIPELINE_MONITOR_PORT=str(port))
        self.monitors.append(monitor)
        return monitor

    def start_consumer(self, module: str = "consumer") -> Process:
        """Start a consumer."""
        consumer = self._start(module)
        self.consumers.append(consumer)
        return consumer

    def kill(self, consumer: Process) -> None:
        """End a consumer with kill -9, and forget it."""
        consumer.send(signal.SIGKILL)
        consumer.wait(_PATIENCE)
        self.consumers.remove(consumer)

    def fallen(self) -> Process | None:
        """A service that ended by itself and should not have."""
        for process in self.producers:
            if process.code not in (None, 0):
                return process
        return next((process for process in self.consumers + self.clocks if process.code is not None), None)

    @staticmethod
    def stop(processes: list[Process], seconds: float) -> None:
        """Have them drain; kill what is there after so many seconds."""
        for process in processes:
            process.send(signal.SIGTERM if seconds else signal.SIGKILL)
        deadline = time.monotonic() + seconds
        for process in processes:
            process.wait(max(0.1, deadline - time.monotonic()))
