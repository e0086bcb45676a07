"""What the tests of roles share."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from shared.local.embedded import EmbeddedServer


@pytest.fixture
async def admin(server: EmbeddedServer) -> AsyncIterator[Redis]:
    """A client that may do everything at a server of the test's own."""
    async with Redis.from_url(server.url) as client:
        yield client
