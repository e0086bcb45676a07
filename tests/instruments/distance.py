"""A server that is far away: every byte arrives so many milliseconds later, as many at once as there are.

It runs in a process of its own: a test that is busy delays no byte by more than that.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.instruments.processes import report, running

_PORTION = 65536


async def link(upstream: str, socket: str, one_way: float) -> None:
    """Serve on a unix socket until the process is killed; says `listens`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(upstream)
        await asyncio.gather(_pipe(reader, server_writer, one_way), _pipe(server_reader, writer, one_way))

    async with await asyncio.start_unix_server(serve, socket):
        report("listens")
        await asyncio.Event().wait()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, one_way: float) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while portion := await reader.read(_PORTION):
            loop.call_later(one_way, writer.write, portion)
    loop.call_later(one_way, writer.close)


@contextlib.asynccontextmanager
async def distant(url: str, directory: Path, round_trip: float) -> AsyncIterator[str]:
    """The address of the server at `url` (unix://) behind a link with so many seconds of round trip."""
    socket = str(directory / "distant.sock")
    async with running(link, unquote(urlsplit(url).path), socket, round_trip / 2) as process:
        await process.said("listens")
        yield f"unix://{socket}?db=0"
