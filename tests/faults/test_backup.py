"""A backup and its restore, as docs/production.md says: what is there again, what comes again, what is gone."""

import asyncio
import shutil
import time
from pathlib import Path

import pytest
import redis.asyncio
from redis import Redis

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.waiting import until

TTL = 0.5


async def back_up(server: EmbeddedServer, into: Path) -> None:
    """Have the server write a snapshot beside its append-only file, and copy that alone."""
    async with redis.asyncio.Redis.from_url(server.url) as client:
        before = await client.lastsave()
        (folder,) = (await client.config_get("dir")).values()
        # Two within one second would have one time.
        await until(client.time, lambda now: now[0] > before.timestamp() + 1)
        await client.bgsave()
        await until(client.lastsave, lambda saved: saved > before)
    await asyncio.to_thread(into.mkdir)
    await asyncio.to_thread(shutil.copy, Path(folder) / "dump.rdb", into)


def restored(folder: Path) -> EmbeddedServer:
    """A server that has read the snapshot, and writes an append-only file from then on."""
    server = EmbeddedServer(folder, append_only=False)
    server.start()
    with Redis.from_url(server.url) as client:
        client.config_set("appendonly", "yes")
        # Or a kill might take back the last second.
        client.config_set("appendfsync", "always")
        deadline = time.monotonic() + 30
        while client.info("persistence")["aof_rewrite_in_progress"]:
            assert time.monotonic() < deadline
    return server


async def taken(queue: Queue[int], count: int) -> list[int]:
    items = []
    async with asyncio.timeout(30):
        for _ in range(count):
            async with await queue.get() as item:
                items.append(item)
    return items


@pytest.mark.slow
async def test_what_was_settled_since_comes_again_and_what_was_put_since_is_gone(
    durable: EmbeddedServer, tmp_path: Path
) -> None:
    async with Session.open(durable.url, ttl=TTL) as session:
        queue = Queue(session, "q", int, maxsize=10)
        await queue.put_many(range(4))
        settled_before, held = await queue.get(), await queue.get()
        await settled_before.ack()
        await back_up(durable, tmp_path / "copy")
        await held.ack()
        assert await taken(queue, 1) == [2]
        await queue.put(4)
    server = restored(tmp_path / "copy")
    try:
        async with Session.open(server.url, ttl=TTL) as session:
            again = Queue(session, "q", int)
            # 1 was in the hands of a process that is not there any more, and 2 was handled since.
            assert sorted(await taken(again, 3)) == [1, 2, 3]
            seen = await again.statistics()
            assert (seen.pending, seen.leased, seen.delayed, seen.maxsize, seen.put_total) == (0, 0, 0, 10, 4)
            await again.put(5)
        await asyncio.to_thread(server.kill)
    finally:
        server.stop()
    # It keeps what it was told since, as the first one did.
    with EmbeddedServer(tmp_path / "copy", append_only=True) as server:
        async with Session.open(server.url, ttl=TTL) as session:
            assert await taken(Queue(session, "q", int), 1) == [5]


@pytest.mark.parametrize("append_only,there", [(True, 0), (False, 1)])
def test_a_server_with_an_append_only_file_does_not_read_a_snapshot(
    tmp_path: Path, *, append_only: bool, there: int
) -> None:
    """Why the page has the restored server started without one: it would begin empty, and say nothing."""
    folder = tmp_path / "copy"
    with EmbeddedServer(folder) as server, Redis.from_url(server.url) as client:
        client.set("a", 1)
        client.save()
    with EmbeddedServer(folder, append_only=append_only) as server, Redis.from_url(server.url) as client:
        assert client.dbsize() == there
