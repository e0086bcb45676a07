"""A reply or a request that takes long to pass is no silence: bytes flow."""

import asyncio
from pathlib import Path

import pytest

from shared.concurrency import Queue, Session
from tests.instruments.slow_link import SlowLink

# A session of this time to live drops a connection that is silent for a second.
TTL = 0.5
ITEM = "x" * 3_000_000
RATE = 2_000_000.0
SESSION_AND_HEARTBEAT = 2


@pytest.fixture(autouse=True)
def embedded_only(url: str) -> None:
    if not url.startswith("unix:"):
        pytest.skip("the link leads to a unix socket")


async def test_a_reply_may_take_longer_than_a_server_may_be_silent(url: str, name: str, tmp_path: Path) -> None:
    async with Session.open(url) as session, SlowLink(url, tmp_path, down=RATE) as link:
        await Queue(session, name, str, max_message_bytes=1 << 24).put(ITEM)
        async with Session.open(link.url, ttl=TTL) as far, asyncio.timeout(40):
            queue = Queue(far, name, str, max_message_bytes=1 << 24)
            async with await queue.get() as item:
                assert item == ITEM
            statistics = await queue.statistics()
            assert (statistics.acked_total, statistics.recovered_total, statistics.nacked_total) == (1, 0, 0)
        assert link.connections == SESSION_AND_HEARTBEAT


async def test_a_request_may_take_longer_than_a_server_may_be_silent(url: str, name: str, tmp_path: Path) -> None:
    async with SlowLink(url, tmp_path, up=RATE) as link:
        async with Session.open(link.url, ttl=TTL) as far, asyncio.timeout(40):
            queue = Queue(far, name, str, max_message_bytes=1 << 24)
            await queue.put(ITEM)
            assert (await queue.statistics()).put_total == 1
        assert link.connections == SESSION_AND_HEARTBEAT
