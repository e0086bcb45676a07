"""A queue to be grown, and a client of its server that grows it."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer


@pytest.fixture
async def client(server: EmbeddedServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url, protocol=3) as client:
        yield client


@pytest.fixture
async def queue(server: EmbeddedServer) -> AsyncIterator[Queue[int]]:
    async with Session.open(server.url, ttl=60) as session:
        queue = Queue(session, "jobs", int)
        await queue.statistics()
        yield queue
