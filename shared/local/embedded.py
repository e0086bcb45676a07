"""A real server as a child process, used when no REDIS_URL is given."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from shared.local.binary import server_binary
from shared.local.folder import is_too_long, locked, short_folder
from shared.local.parent_death import kernel_ties, tied, watched
from shared.local.server_error import EmbeddedServerError

# How many seconds a server has to end when it is asked to; then it is killed.
_ENDS_WITHIN = 10.0


class EmbeddedServer:
    """A Valkey (or Redis) server that belongs to this process and ends with it, even by kill -9.

    It listens on a unix socket in `directory` (in a temporary folder when that path is too long for a socket) and, with
    `port`, on 127.0.0.1 too. It never evicts. It keeps nothing on disk unless `append_only`: then an append-only file
    in `directory` brings everything back at the next start. Use it as a context manager, or start() and stop() it; all
    calls are synchronous and take about a tenth of a second. It runs in a session of its own, so that Ctrl-C reaches
    only us.
    """

    def __init__(
        self,
        directory: Path,
        *,
        append_only: bool = False,
        port: int = 0,
        binary: Path | None = None,
        patience: float = 30.0,
        options: Sequence[str] = (),
    ) -> None:
        """`binary`: the server to run (default: server_binary()); `patience`: seconds until it must answer.

        `options`: more words for its command line; they win.
        """
        self._directory = directory.absolute()
        self._append_only = append_only
        self._port = port
        self._binary = binary
        self._patience = patience
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = Path()
        self._lock: int | None = None
        self._folder = contextlib.ExitStack()
        self._watchdog = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """The address for clients; the same after restart(). Raises EmbeddedServerError before the first start()."""
        if self._port:
            return f"redis://127.0.0.1:{self._port}/0"
        if self._socket == Path():
            raise EmbeddedServerError("the embedded server was not started: call start() first")
        return f"unix://{quote(str(self._socket))}?db=0"

    @property
    def pid(self) -> int:
        """The server's process id. Raises EmbeddedServerError when it is not running."""
        if self._process is None or not self.running:
            raise EmbeddedServerError("the embedded server is not running: call start()")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self._directory / "server.log"

    def start(self) -> None:
        """Start the server and return when it answers. Raises EmbeddedServerError."""
        if self.running:
            raise EmbeddedServerError("the embedded server runs already: stop() it first")
        self._end(signal.SIGKILL)  # what a server that ended by itself has left
        binary = self._binary or server_binary()
        try:
            if self._lock is None:
                self._take_folder()
            self._launch(binary)
            self._wait_until_it_answers()
        except OSError as error:
            self.stop()
            raise EmbeddedServerError(f"cannot start {binary} in {self._directory}: {error}") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server; what it wrote to an append-only file is safe. Does nothing when it is not running."""
        self._end(signal.SIGTERM)
        self._folder.close()
        self._lock = None

    def kill(self) -> None:
        """End the server with kill -9, as a crash would; start() brings it back at the same address."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start at the same address; without `append_only` everything is forgotten."""
        self._end(signal.SIGTERM)
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _take_folder(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = self._folder.enter_context(locked(self._directory))
        self._socket = self._directory / "server.sock"
        if is_too_long(self._socket):
            self._socket = self._folder.enter_context(short_folder()) / "server.sock"

    def _launch(self, binary: Path) -> None:
        self._socket.unlink(missing_ok=True)
        arguments = {
            "port": str(self._port),
            "bind": "127.0.0.1",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "yes" if self._append_only else "no",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        with self.log.open("wb") as log:
            # The server keeps the folder's lock open: the lock is free when the server is gone, not when we are.
            self._process = subprocess.Popen(
                [
                    str(binary),
                    *(word for key, value in arguments.items() for word in (f"--{key}", value)),
                    *self._options,
                ],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=tied(),  # noqa: PLW1509  # it only calls the kernel
                pass_fds=() if self._lock is None else (self._lock,),
            )
        if not kernel_ties():
            self._watchdog.enter_context(watched(self._process.pid))

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None  # noqa: S101  # for the type checker
        deadline = time.monotonic() + self._patience
        while not _answers(self._socket):
            if self._process.poll() is not None:
                raise EmbeddedServerError(
                    f"the embedded server ended with code {self._process.returncode}: {self._last_lines()}"
                )
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"the embedded server did not answer in {self._patience:g} s: {self._last_lines()}"
                )
            # There is no signal for "ready" that every build sends, so we poll; 5 ms is far below its start time.
            time.sleep(0.005)

    def _last_lines(self) -> str:
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return " | ".join(lines[-4:]) or "its log is empty"

    def _end(self, ending: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(ending)
        try:
            self._process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._watchdog.close()
        self._socket.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    """Return whether the server on this socket answers PONG; one that is still loading its file does not."""
    with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
        connection.settimeout(1)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
    return False
