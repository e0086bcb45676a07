"""Store: what leases guard, in a process that nothing strikes. It compares tokens, and remembers who came."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from tests.campaigns.checkers.fence import Attempt

_LONGEST: Final = 0.05
"""Seconds: a lease ends so much earlier for its holder than at the server. An access that took longer may be late."""


class Store:
    """The last tokens of each lease. A read is refused behind a later write, a write behind a later anything."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.attempts: list[Attempt] = []
        self._last: dict[str, tuple[int, int]] = {}

    @contextlib.asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[None]:
        """Answer at a socket while the block runs."""
        server = await asyncio.start_unix_server(self._answer, path)
        try:
            yield
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while (line := await reader.readline()).endswith(b"\n"):
                writer.write(b"yes\n" if self._compare(line.decode().split()) else b"no\n")
                await writer.drain()
        writer.close()

    def _compare(self, words: list[str]) -> bool:
        word, lease, holder, token, is_late, asked = words
        written, read = self._last.get(lease, (0, 0))
        number, is_write = int(token), word == "write"
        accepted = number >= (max(written, read) if is_write else written)
        if accepted:
            self._last[lease] = (number, read) if is_write else (written, max(read, number))
        is_slow = time.monotonic_ns() - int(asked) > _LONGEST * 1e9
        late = is_late == "late" or is_slow
        self.attempts.append(Attempt(lease, holder, number, is_write, late, accepted))
        return accepted


class Access:
    """A process's way to the store. Its loop waits: an answer takes less than a millisecond."""

    def __init__(self, path: str) -> None:
        """Connect."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)

    def try_with(self, word: str, lease: str, holder: str, token: int, *, is_late: bool) -> bool:
        """Read or write under a token; whether the store took it."""
        late = "late" if is_late else "good"
        self._socket.sendall(f"{word} {lease} {holder} {token} {late} {time.monotonic_ns()}\n".encode())
        return self._socket.recv(16) == b"yes\n"

    def close(self) -> None:
        """Let go of the connection."""
        self._socket.close()
