"""A server that is far away: a proxy by which every byte arrives so many milliseconds later.

`python -m benchmarks.distance HOST PORT ROUND_TRIP_MS` reports its own port and serves until killed. Standard library
only.
"""

import asyncio
import contextlib
import json
import selectors
import subprocess
import sys
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Final

from benchmarks.contest import Contest

_PORTION: Final = 1 << 16
_ROOT: Final = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def distant(contest: Contest, round_trip_ms: float) -> Iterator[Contest]:
    """The same contest, whose processes reach its server by a link with that round trip, and the proxy's own."""
    host, port = contest.url.removeprefix("redis://").split("/")[0].rsplit(":", 1)
    command = [sys.executable, "-m", "benchmarks.distance", host, port, str(round_trip_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT) as process:
        try:
            assert process.stdout is not None  # noqa: S101
            there = json.loads(process.stdout.readline())
            far = copy(contest)
            far.url = f"redis://127.0.0.1:{there['port']}/0"
            yield far
        finally:
            process.kill()


async def serve(host: str, port: int, one_way: float) -> None:
    """Serve until the process is killed."""

    async def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(_pipe(reader, server_writer, one_way), _pipe(server_reader, writer, one_way))

    async with await asyncio.start_server(link, "127.0.0.1", 0) as server:
        sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, one_way: float) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while portion := await reader.read(_PORTION):
            if one_way:
                loop.call_later(one_way, writer.write, portion)
            else:
                writer.write(portion)
    loop.call_later(one_way, writer.close)


def exact_loop() -> asyncio.AbstractEventLoop:
    """An event loop that wakes within some 0.1 ms of its time: with epoll, as with uvloop, it rounds up to whole ms."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=exact_loop) as runner:
        runner.run(serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 2000))
