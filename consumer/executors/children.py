"""Children: the processes that handlers run in, as the service sees them, and what starts them."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

from consumer.executors import frames
from consumer.rules.errors import ProcessEnded

START_SECONDS: Final = 60.0
"""How long a process may take to start."""

_END_SECONDS: Final = 1.0

_Process = subprocess.Popen[bytes]


class Child:
    """One process, and the pipe to it."""

    def __init__(self, process: _Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Made by `Starter.start`."""
        self._process: Final = process
        self._reader: Final = reader
        self._writer: Final = writer
        self.resting: asyncio.TimerHandle | None = None
        """What ends it when it has had nothing to do for long."""

    def wake(self) -> None:
        """Keep it: it has something to do, or is ended."""
        if self.resting is not None:
            self.resting.cancel()
            self.resting = None

    async def begin(self, *request: bytes) -> None:
        """Send a request, and wait until its handler is called."""
        with contextlib.suppress(ConnectionError):  # it has ended: `answer` raises
            self._writer.write(frames.pack(*request))
            await self._writer.drain()
        await self.answer()

    async def outcome(self, on_report: Callable[[bytes, bytes], object] | None) -> dict[str, Any]:
        """Wait for the end of the handler; `on_report` gets what it reports before.

        :raises ProcessEnded: as `answer`.
        """
        while (answer := await self.answer())["outcome"] == "progress":
            if on_report is not None:
                on_report(bytes.fromhex(answer["receipt"]), answer["progress"].encode())
        return answer

    async def answer(self) -> dict[str, Any]:
        """Wait for the next answer of the child.

        :raises ProcessEnded: when the child has closed its pipe; it is killed if it lives on.
        """
        try:
            answer: dict[str, Any] = json.loads(await frames.receive(self._reader))
        except (EOFError, ConnectionError):
            raise ProcessEnded(f"the handler's process {_how(await self._code())}") from None
        return answer

    async def _code(self) -> int:
        """Wait for the exit code of a child that closed its pipe; kill it if it lives on."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return await asyncio.to_thread(self._process.wait, _END_SECONDS)
        self.kill()
        return await asyncio.to_thread(self._process.wait)

    def kill(self) -> None:
        """Kill the process, and those that it has started."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until the process has ended, and close the pipe to it."""
        self._writer.transport.abort()
        await asyncio.to_thread(self._process.wait)


class Starter:
    """Starts processes in a thread of its own, so that the loop goes on: a large service takes long to start another.

    One thread that lives as long as they do: Linux ends a child when the thread ends that started it.
    """

    def __init__(self, modules: list[str]) -> None:
        """`modules`: what each process imports first. The thread is started with the first of them."""
        self._modules: Final = modules
        self._jobs: Final[SimpleQueue[Callable[[], None] | None]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def start(self) -> Child:
        """Start a process, and wait until it is ready.

        :raises ProcessEnded: when it ended before, or took too long.
        """
        here, there = socket.socketpair()
        try:
            process = await self._started(there)
        except BaseException:  # also cancelled: the socket is nobody else's
            here.close()
            raise
        finally:
            there.close()
        here.setblocking(False)  # noqa: FBT003  # socket's own signature
        try:
            child = Child(process, *await asyncio.open_unix_connection(sock=here))
        except BaseException:  # also cancelled: nobody else knows the process
            here.close()
            await _kill(process)
            raise
        try:
            async with asyncio.timeout(START_SECONDS):
                await child.answer()
        except BaseException as error:  # also cancelled: nobody else knows the process
            child.kill()
            await child.ended()
            if isinstance(error, TimeoutError):
                raise ProcessEnded(f"the handler's process did not start within {START_SECONDS:g} s") from None
            raise
        return child

    async def _started(self, pipe: socket.socket) -> _Process:
        """The process, which the thread starts; where the caller is cancelled meanwhile it is killed."""
        loop = asyncio.get_running_loop()
        started: asyncio.Future[_Process] = loop.create_future()

        def start() -> None:
            try:
                process = self._spawn(pipe)
            except BaseException as error:  # noqa: BLE001  # no memory, too many processes
                loop.call_soon_threadsafe(started.set_exception, error)
            else:
                loop.call_soon_threadsafe(started.set_result, process)

        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="weir-starts", daemon=True)
            self._thread.start()
        self._jobs.put(start)
        cancelled: asyncio.CancelledError | None = None
        while not started.done():
            try:
                await asyncio.shield(started)
            except asyncio.CancelledError as error:  # it takes milliseconds, and is a process that nobody else knows
                cancelled = error
            except Exception:  # noqa: BLE001, S110  # `result` raises it
                pass
        if cancelled is None:
            return started.result()
        if started.exception() is None:
            await _kill(started.result())
        raise cancelled

    def _spawn(self, pipe: socket.socket) -> _Process:
        # It finds modules where we do. A session of its own: Ctrl-C in a terminal is for the service, which drains.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
        return subprocess.Popen(
            [sys.executable, "-m", "consumer.executors", str(os.getpid()), *self._modules],
            stdin=pipe.fileno(),
            stdout=pipe.fileno(),
            start_new_session=True,
            env=environment,
        )

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def close(self) -> None:
        """End the thread, once all processes have ended."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None


async def _kill(process: _Process) -> None:
    """Kill a process that has no child of ours yet, with all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    await asyncio.to_thread(process.wait)


def _how(code: int) -> str:
    return f"ended with code {code}" if code >= 0 else f"was ended by signal {-code}"
