"""Processes that need no start: forked from one that has imported everything, before it has a thread or an event loop.

Each has a process id and a session of its own, is our own child, ends with us, and dies of a real `kill -9`. Only the
second that the imports take is spared. The prepared process forks twice: the kernel makes the second child ours,
because at that moment we adopt orphans. That is Linux; elsewhere a process is started as usual.

There are two of them. One has imported this project. The other has imported only the libraries: from it come processes
of copies of the project, which import their own files.
"""

import asyncio
import atexit
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

from shared.local.parent_death import tied

ROOT: Final = Path(__file__).resolve().parent.parent.parent

CAN_FORK: Final = sys.platform == "linux"

_PR_SET_CHILD_SUBREAPER: Final = 36

_OURS: Final = (
    "cli.dead", "cli.lease", "cli.peek", "cli.produce", "cli.queue", "cli.status", "cli.schema", "cli.scripts", "consumer.worker.worker", "consumer.worker.blocked_loop",
    "consumer.executors.dispatch", "shared.service", "producer.clock.puts", "tests.instruments.lease_processes",
    "tests.instruments.losses", "tests.instruments.programs", "tests.instruments.submitting", "cli.demo.demo", "tests.demo.dictionaries",
)  # fmt: skip

_LIBRARIES: Final = (
    "arq.connections", "arq.cron", "arq.worker", "pydantic.root_model", "pydantic_settings", "redis.asyncio",
    "structlog.stdlib", "uvloop", "concurrent.futures.thread",
)  # fmt: skip

_BECOME: Final = """
import asyncio, ctypes, importlib, json, os, random, runpy, signal, socket, sys, time, warnings

def become(request, streams):
    os.environ.clear()
    os.environ.update(request["variables"])
    for number, stream in enumerate((os.open(os.devnull, os.O_RDONLY), *streams)):
        os.dup2(stream, number)
    random.seed()
    if folder := request.get("folder"):
        os.chdir(folder)
        sys.path[0] = folder
    if not request["strict"]:
        sys.warnoptions[:] = []
        warnings.simplefilter("ignore")
    if "function" in request:
        function = getattr(importlib.import_module(request["module"]), request["function"])
        asyncio.run(function(*request["arguments"]))
    else:
        sys.argv = [request["module"], *request["arguments"]]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
"""

_FORKS: Final = (
    _BECOME
    + """
import contextlib, gc
for name in sys.argv[2:]:
    with contextlib.suppress(ImportError):  # a fork of the project has no demo
        importlib.import_module(name)
# Forks leave these objects alone when they collect and when they end, so their pages stay shared.
gc.collect()
gc.freeze()
prctl = ctypes.CDLL(None).prctl
parent = os.getppid()
link = socket.socket(fileno=int(sys.argv[1]))
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    request, streams, _, _ = socket.recv_fds(link, 1 << 20, 2)
    if not request:
        os._exit(0)
    told, tell = os.pipe()
    between = os.fork()
    if not between:
        pid = os.fork()
        if pid:
            os.write(tell, b"%d" % pid)
            os._exit(0)
        break
    os.waitpid(between, 0)
    link.send(os.read(told, 20))
    for number in (told, tell, *streams):
        os.close(number)
while os.getppid() != parent:
    time.sleep(0.0005)
prctl(1, int(signal.SIGKILL), 0, 0, 0)
if os.getppid() != parent:
    os._exit(1)
for number in (told, tell):
    os.close(number)
link.close()
os.setsid()
signal.signal(signal.SIGINT, signal.default_int_handler)
become(json.loads(request), streams)
"""
)

_STARTS: Final = _BECOME + "become(json.loads(sys.argv[1]), (os.dup(1), os.dup(2)))\n"


class Started:
    """A child process."""

    def __init__(self, pid: int) -> None:
        """Use `start`."""
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative when a signal ended it; None while it runs."""
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for its end, so many seconds; its exit code."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.001)
        return code

    async def ended(self) -> int:
        """Wait for its end without keeping the loop busy; its exit code."""
        while (code := self.poll()) is None:  # noqa: ASYNC110  # nobody else would say so
            await asyncio.sleep(0.002)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


@cache
def ready(modules: tuple[str, ...] = _OURS) -> tuple[int, socket.socket]:
    """The process that forks with these modules imported, one for each process of tests, which it ends with.

    Returns its id, and the way to it.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if modules is _OURS:
        variables["PYTHONPATH"] = str(ROOT)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _FORKS, str(theirs.fileno()), *modules],
            cwd=ROOT, env=variables, stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()], preexec_fn=tied(),  # noqa: PLW1509
        )  # fmt: skip
    _prepared.add(str(process.pid))
    atexit.register(_end, process, ours)
    return process.pid, ours


_prepared: Final[set[str]] = set()


def prepared_pids() -> set[str]:
    """The ids of the processes that fork, as far as there are any."""
    return _prepared


def _end(process: "subprocess.Popen[bytes]", link: socket.socket) -> None:
    link.close()
    process.kill()
    process.wait()


def start(request: dict[str, Any], out: int, err: int, *, strict: bool = False) -> Started:
    """Start what the request names: a module, or an async function of one; its output goes to `out`, `err`.

    The module is that of this project, or of the copy in the `folder` that the request names. `strict`: warnings are
    errors there.
    """
    asked = json.dumps({"variables": dict(os.environ), **request, "strict": strict})
    if not CAN_FORK:
        return _started(asked, out, err)
    _, link = ready(_LIBRARIES if "folder" in request else _OURS)
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        socket.send_fds(link, [asked.encode()], [out, err])
        return Started(int(link.recv(20)))
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _started(asked: str, out: int, err: int) -> Started:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _STARTS, asked], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True, preexec_fn=tied(),  # noqa: PLW1509
    )  # fmt: skip
    started = Started(process.pid)
    process.returncode = 0  # who waits for it is `started`
    return started
