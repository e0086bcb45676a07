"""OS processes of a test: run a program, hear its reports, stop, continue and kill it. They end with the test."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.instruments.prepared import Started, start

Program = Callable[..., Coroutine[Any, Any, None]]


def report(*words: object) -> None:
    """Say something to the test, from inside a program: a list of anything JSON can hold."""
    # One write for each line: what is killed half-way has said all of a line, or nothing.
    os.write(1, json.dumps(words).encode() + b"\n")


class Process:
    """One running program."""

    def __init__(self, process: Started, stdout: asyncio.StreamReader, what: str) -> None:
        """Use `running`."""
        self._process = process
        self._stdout = stdout
        self._what = what
        self._reports: list[list[Any]] = []
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read(), name=f"reports-of-{what}")
        self._ended = False

    async def _read(self) -> None:
        while line := await self._stdout.readline():
            if not line.endswith(b"\n"):
                break  # killed in the middle of it
            async with self._news:
                self._reports.append(json.loads(line) if line.startswith(b"[") else ["log", line.decode()])
                self._news.notify_all()
        async with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def reports(self, word: str) -> list[Any]:
        """What it has said so far under a word: the second element of each report, or None."""
        return [said[1] if len(said) > 1 else None for said in self._reports if said[0] == word]

    async def said(self, word: str, times: int = 1, seconds: float = 60.0) -> Any:
        """Wait until it has said a word so many times; what it said with the last of them."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: self._ended or len(self.reports(word)) >= times)
        except TimeoutError:
            raise AssertionError(f"{self._what} did not say {word!r} {times} times: {self._reports[-20:]}") from None
        if len(self.reports(word)) < times:
            raise AssertionError(f"{self._what} ended and had not said {word!r} {times} times: {self._reports[-20:]}")
        return self.reports(word)[times - 1]

    async def state(self) -> str:
        """One letter of Linux: R running, S asleep, T stopped, Z ended."""
        stat = await asyncio.to_thread(Path(f"/proc/{self.pid}/stat").read_text)
        return stat.rpartition(")")[2].split()[0]

    def stop(self) -> None:
        """SIGSTOP: it stands still until `cont`."""
        self._process.send_signal(signal.SIGSTOP)

    def tell(self) -> None:
        """SIGUSR1."""
        self._process.send_signal(signal.SIGUSR1)

    def terminate(self) -> None:
        """SIGTERM: it is asked to end."""
        self._process.send_signal(signal.SIGTERM)

    def cont(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone and all it had said is known."""
        self._process.kill()
        await self.ended()

    async def ended(self, seconds: float = 60.0) -> int:
        """Wait until it has ended by itself; its exit code."""
        async with asyncio.timeout(seconds):
            code = await self._process.ended()
            await self._reader
        return code


@contextlib.asynccontextmanager
async def running(program: Program, *arguments: object) -> AsyncIterator[Process]:
    """Run an async function of a module in a process of its own, which is killed at the end of the block."""
    out, into = os.pipe()
    stdout = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stdout), os.fdopen(out, "rb", 0)
    )
    try:
        request = {"module": program.__module__, "function": program.__name__, "arguments": arguments}
        process = start(request, into, 2)
    finally:
        os.close(into)
    handle = Process(process, stdout, program.__name__)
    try:
        yield handle
    finally:
        await handle.kill()
        pipe.close()
