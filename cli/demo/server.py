"""The server of a demo: one that is given, left as it was, or an embedded one."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from redis.exceptions import RedisError

from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.connections import client
from shared.local.embedded import EmbeddedServer
from shared.password_file import PasswordFile, password_of
from shared.settings import Settings


@dataclass(frozen=True)
class DemoServer:
    """Where it is, and what gives its password."""

    url: str
    password: PasswordFile | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The variables that lead a service there."""
        return {"REDIS_URL": self.url} | (
            {} if self.password is None else {"PIPELINE_PASSWORD_FILE": str(self.password.path.resolve())}
        )


@contextlib.contextmanager
def demo_server(directory: Path, queue: str) -> Iterator[DemoServer]:
    """The server of REDIS_URL, from which the queue is deleted at the end, or an embedded one in a directory."""
    settings = Settings.load()
    if settings.redis_url is None:
        with EmbeddedServer(directory) as embedded:
            yield DemoServer(embedded.url)
        return
    server = DemoServer(settings.redis_url.get_secret_value(), password_of(settings))
    try:
        yield server
    finally:
        asyncio.run(_clean(server, queue))


async def _clean(server: DemoServer, queue: str) -> None:
    address = read_address(server.url, server.password)
    with contextlib.suppress(RedisError):
        async with client(address, socket_timeout=5) as connected:
            for pattern in (f"{{{queue}}}:*", f"{{{queue}.source.*}}:*", f"arq:*:cron:{queue}:*"):
                async for key in connected.scan_iter(pattern, count=500):
                    await connected.unlink(key)
