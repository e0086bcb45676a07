"""What looks at the server that a test breaks."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis


@pytest.fixture
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    """A client past our own code: of the test's own server where it has one, else of the one that all share."""
    has_server = "server" in request.fixturenames
    url: str = request.getfixturevalue("server").url if has_server else request.getfixturevalue("url")
    async with Redis.from_url(url, protocol=3) as client:
        yield client
