"""ServerProcess: one server or sentinel at a port of this machine, and ports that are free for some."""

import contextlib
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import redis

from shared.local.binary import server_binary
from shared.local.parent_death import tied

_PORTS: Final = range(20_000, 32_000)
"""Below those that connections get at their own end."""


class Node:
    """One process: a server, or a sentinel."""

    def __init__(self, directory: Path, port: int, *arguments: str) -> None:
        """Prepare; `start` starts it."""
        self.port = port
        self.password = ""
        self.user: str | None = None
        self._directory = directory
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True)

    def start(self) -> None:
        """Start it, at its port; the caller waits for what it needs of it."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(server_binary()), *self._arguments, "--port", str(self.port), "--dir", str(self._directory)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=tied(),  # noqa: PLW1509  # it only calls the kernel
            )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        """A client to look at it with; its commands have no types."""
        with redis.Redis(
            port=self.port, username=self.user, password=self.password or None, socket_timeout=2
        ) as client:
            yield client


def free_ports(count: int) -> list[int]:
    """Ports at which nobody listens; each process of tests begins somewhere else."""
    tried = random.Random(os.urandom(8)).sample(_PORTS, 100 * count)  # noqa: S311  # no secret
    free = []
    for port in tried:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            free.append(port)
        if len(free) == count:
            break
    return free
