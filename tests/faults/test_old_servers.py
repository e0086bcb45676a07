"""A server that says a version below 7.0: a session does not open, at once, with what is needed instead."""

import asyncio
import re
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import ServerRefused, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.proxy import Proxy

_IN_INFO: Final = re.compile(rb"(redis_version:)\d+\.\d+")
_IN_HELLO: Final = re.compile(rb"(version\r\n\$\d+\r\n)\d+\.\d+")


def _older(answer: bytes) -> bytes:
    """An answer to INFO or HELLO as a Redis 6.2 gives it; the version keeps its length."""
    return _IN_HELLO.sub(rb"\g<1>6.2", _IN_INFO.sub(rb"\g<1>6.2", answer))


async def opened(url: str) -> None:
    async with asyncio.timeout(8), Session.open(url, connect_timeout=60):
        pass


@pytest.mark.parametrize("told_by", ["INFO", "HELLO"])
async def test_a_server_that_is_too_old_is_refused_with_what_is_needed(
    server: EmbeddedServer, tmp_path: Path, told_by: str
) -> None:
    async with Redis.from_url(server.url) as admin:
        if told_by == "HELLO":  # where INFO is forbidden, the greeting says it
            await admin.execute_command("ACL", "SETUSER", "default", "-info")
        async with Proxy(server.url, tmp_path) as proxy:
            proxy.alter = _older
            with pytest.raises(ServerRefused, match=r"is Redis 6\.2\S*: 7\.0 or later is needed \(or any Valkey\)"):
                await opened(proxy.url)
            assert not await admin.keys("*")  # it was asked for its version, and for nothing else
            proxy.alter = lambda answer: answer
            await opened(proxy.url)
