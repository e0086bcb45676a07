"""Clocks as OS processes, beside a proxy that runs in the test's own loop."""

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from tests.instruments.prepared import Started
from tests.instruments.services import start_of_copy
from tests.instruments.traffic import Command, Fate

COMMANDS: Final = ("WATCH", "EXISTS", "ZSCORE", "EXEC", "PERSIST", "put")
"""All that a clock sends for one message, but for what changes nothing before its EXEC."""


class Clock:
    """One running clock, and what it says."""

    def __init__(self, process: Started, stderr: asyncio.StreamReader) -> None:
        """Use `clock`."""
        self._process = process
        self._stderr = stderr
        self.lines: list[str] = []
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read(), name="reads-a-clock")

    async def _read(self) -> None:
        while line := await self._stderr.readline():
            async with self._news:
                self.lines.append(line.decode())
                self._news.notify_all()

    async def said(self, word: str, times: int = 1, seconds: float = 90.0) -> None:
        """Wait until so many lines hold a word."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: sum(word in line for line in self.lines) >= times)
        except TimeoutError:
            raise AssertionError(f"the clock did not say {word!r}: {''.join(self.lines[-30:])}") from None

    def kill(self) -> None:
        """SIGKILL, at once."""
        self._process.kill()

    def kill_before(self) -> Fate:
        """SIGKILL, and the command that it has just sent is lost: what a Moment does."""
        self.kill()
        return Fate.DROP_BEFORE

    async def stop(self, *, lost_server: bool = False) -> None:
        """SIGTERM; AssertionError when it does not end in peace.

        `lost_server`: a job may have failed, with its traceback, for the server went away in the middle of it.
        """
        self._process.send_signal(signal.SIGTERM)
        code = await self.ended()
        of_others = [line for line in self.lines if not lost_server or '"a job failed"' not in line]
        if code != 0 or "Traceback" in "".join(of_others):
            raise AssertionError(f"the clock ended with {code}: {''.join(self.lines[-30:])}")

    async def ended(self, seconds: float = 90.0) -> int:
        """Wait until it is gone and all it said is known; its exit code."""
        async with asyncio.timeout(seconds):
            code = await self._process.ended()
            await self._reader
        return code


@contextlib.asynccontextmanager
async def clock(settings: dict[str, str], root: Path | None = None) -> AsyncIterator[Clock]:
    """Run the clock of the project in `root` with these variables; it is killed at the end of the block.

    Without `root` it is that of the application of the tests.
    """
    out, into = os.pipe()
    stderr = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stderr), os.fdopen(out, "rb", 0)
    )
    running = Clock(start_of_copy("producer.clock", into, root, settings), stderr)
    try:
        yield running
    finally:
        running.kill()
        await running.ended()
        pipe.close()


class Moment:
    """The nth command of a clock that is about an id, among those with these names."""

    def __init__(self, id_: str, nth: int, meet: Callable[[], Fate], names: tuple[str, ...] = COMMANDS) -> None:
        """`meet`: does what happens then, and says what becomes of the command."""
        self._id = id_.encode()
        self._left = itertools.count(nth, -1)
        self._meet = meet
        self._names = names
        self._about_it: set[int] = set()
        self.met: str | None = None

    def judge(self, command: Command) -> Fate:
        """What happens to a command."""
        if any(self._id in word for word in command.words):
            self._about_it.add(command.connection)
        elif command.name != "EXEC":
            self._about_it.discard(command.connection)
        if self.met or command.connection not in self._about_it or command.name not in self._names:
            return Fate.PASS
        if next(self._left) > 1:
            return Fate.PASS
        self.met = command.name
        return self._meet()
