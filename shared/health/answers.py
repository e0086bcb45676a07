"""What a service answers to `--check`: its event loop itself says it, so a hung one says nothing."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from shared.health.place import made_folder, socket_path
from shared.logs import Log

log = Log("health")


class _Answer(asyncio.Protocol):
    """Says what is wrong, and closes."""

    def __init__(self, problem: Callable[[], str]) -> None:
        self._problem = problem

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writing = cast("asyncio.Transport", transport)
        writing.write(self._problem().encode())
        writing.close()


@asynccontextmanager
async def answering(service: str, problem: Callable[[], str]) -> AsyncIterator[None]:
    """Answer inside the block; `problem`: what is wrong, nothing when all is well.

    A service that cannot open its socket works all the same, and a warning says why nobody can ask it.
    """
    loop = asyncio.get_running_loop()
    server = path = None
    try:
        path = socket_path(made_folder(), service, os.getpid())
        path.unlink(missing_ok=True)  # of an earlier process with our number
        server = await loop.create_unix_server(lambda: _Answer(problem), str(path))
    except OSError as error:
        log.warning("--check cannot ask this process", service=service, problem=str(error))
    try:
        yield
    finally:
        if server is not None and path is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            server.close()
