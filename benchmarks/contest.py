"""A contest at one server: starts the processes of a contestant for one workload, and measures one round of it."""

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Final, cast

import redis

from benchmarks.contestants import BenchmarkError, Contestant

_PATIENCE: Final = 120.0
_MB: Final = 1024 * 1024


class Child:
    """One running benchmark process, and its reports."""

    def __init__(self, process: "subprocess.Popen[bytes]", what: str) -> None:
        """Start to read. `what`: how errors name the process."""
        self.pid = process.pid
        self._what = what
        self._process = process
        self._reports: Queue[dict[str, Any] | None] = Queue()
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Wait until all output of the process is read; it must have ended."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._reader.join()

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None  # noqa: S101
        with process.stdout as lines:
            for line in lines:
                if line.startswith(b"{"):
                    self._reports.put(json.loads(line))
        self._reports.put(None)

    def send(self, order: str) -> None:
        """Write a line to the process."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(f"{order}\n".encode())
        self._process.stdin.flush()

    def report(self) -> dict[str, Any]:
        """Wait for the next report of the process.

        :raises BenchmarkError: when the process ends, or reports nothing for two minutes.
        """
        try:
            found = self._reports.get(timeout=_PATIENCE)
        except Empty:
            raise BenchmarkError(f"{self._what} did not finish within {_PATIENCE:.0f} s") from None
        if found is None:
            raise BenchmarkError(f"{self._what} ended before it was done")
        return found


class Contest:
    """Runs the processes of the contestants at one server, which is emptied again and again."""

    def __init__(self, url: str) -> None:
        """`url`: a server of our own."""
        self.url = url
        self.client = redis.Redis.from_url(url)

    @contextlib.contextmanager
    def running(
        self,
        contestant: Contestant,
        action: str,
        count: int,
        size: int = 100,
        *,
        module: str = "benchmarks.child",
        **options: Any,
    ) -> Iterator[Child]:
        """Run a process that does one action of the module; kill it at the end of the block."""
        command: list[str | Path] = [
            contestant.python,
            "-m",
            module,
            action,
            contestant.adapter,
            self.url,
            str(count),
            str(size),
        ]
        if options:
            command.append(json.dumps(options))
        environment = {**os.environ, "PYTHONPATH": str(contestant.root)}
        # Where no bytecode is kept, each start compiles whatever has none: an installed program has it.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=contestant.root,
        )
        child = Child(process, f"{contestant.name} ({action})")
        try:
            yield child
        finally:
            process.kill()
            process.wait()
            child.close()

    def puts(self, contestant: Contestant, action: str, count: int, size: int = 100, **options: Any) -> dict[str, Any]:
        """Let a process put COUNT messages: many (bulk), inflight (100 at once), one (after the other) or pace."""
        with self.running(contestant, action, count, size, **options) as child:
            return child.report()

    def filled(self, contestant: Contestant, count: int, size: int = 100, **options: Any) -> None:
        """Empty the server, then put COUNT messages."""
        self.empty()
        self.puts(contestant, "many", count, size, **options)

    def empty(self) -> None:
        """Empty the server, and wait until its memory is free: or the next measurement would count it."""
        self.client.execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]

    def info(self, section: str) -> dict[str, Any]:
        """Return a section of the server's INFO."""
        return cast("dict[str, Any]", self.client.info(section))

    def server_cpu(self) -> float:
        """Return the CPU seconds that the server has used so far."""
        found = self.info("cpu")
        return float(found["used_cpu_sys"] + found["used_cpu_user"])

    def server_memory(self) -> float:
        """Return how many megabytes of data the server holds."""
        return float(self.info("memory")["used_memory"] / _MB)

    @contextlib.contextmanager
    def counting(self) -> Iterator[list[int]]:
        """Count the commands that clients send inside the block; what scripts call is not counted."""
        counted = [0]
        with redis.Redis.from_url(self.url) as watching, watching.monitor() as monitor:
            ready, done = threading.Event(), threading.Event()

            def watch() -> None:
                for command in monitor.listen():
                    if command["command"].startswith("PING benchmark begins"):
                        ready.set()
                    elif command["command"].startswith("PING benchmark ends"):
                        done.set()
                        return
                    elif ready.is_set() and command["client_type"] != "lua":
                        counted[0] += 1

            threading.Thread(target=watch, daemon=True).start()
            self.client.execute_command("PING", "benchmark begins")  # type: ignore[no-untyped-call]
            ready.wait(_PATIENCE)
            yield counted
            self.client.execute_command("PING", "benchmark ends")  # type: ignore[no-untyped-call]
            done.wait(_PATIENCE)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in megabytes; NaN where the system does not report it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
