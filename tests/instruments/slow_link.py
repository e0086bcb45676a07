"""A slow link to the server: all bytes arrive, so many a second."""

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote, urlsplit

_PORTION: Final = 16384
_FAST: Final = float("inf")


class SlowLink:
    """Listens on a unix socket in `directory`; use it as an async context manager, in the loop of the test."""

    def __init__(self, upstream: str, directory: Path, *, up: float = _FAST, down: float = _FAST) -> None:
        """`upstream`: the server's address, unix:// without a password; `up`, `down`: bytes a second to and from it."""
        self._path = unquote(urlsplit(upstream).path)
        self._socket = directory / "slow.sock"
        self._up, self._down = up, down
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.connections = 0
        """How many there have been."""

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"unix://{self._socket}?db=0"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._accept, self._socket)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for link in self._links:
            link.cancel()
        if self._links:
            await asyncio.wait(self._links)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        link = asyncio.create_task(self._serve(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(self._path)
        await asyncio.gather(_pipe(reader, server_writer, self._up), _pipe(server_reader, writer, self._down))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float) -> None:
    try:
        with contextlib.suppress(OSError):
            while portion := await reader.read(_PORTION):
                writer.write(portion)
                await writer.drain()
                await asyncio.sleep(len(portion) / rate)
    finally:
        writer.close()
