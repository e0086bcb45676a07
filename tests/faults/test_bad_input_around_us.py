"""Keys that others changed, and servers that cannot be used: a typed error that names the remedy."""

import asyncio
import re

import pytest
from redis.asyncio import Redis

from shared.concurrency import ConcurrencyError, Queue, QueueEmpty, ServerRefused, Session, StaleDelivery
from shared.concurrency.queues.membership.keys import QUEUE_KEYS
from shared.concurrency.session.scripts import load
from shared.local.embedded import EmbeddedServer
from tests.instruments.waiting import until


async def use_all(queue: Queue[int], key: str | None = None) -> None:
    """Have every key of a queue used; those of order per key with a message that has one."""
    async with asyncio.timeout(5):
        await queue.put(1, key=key)
        await (await queue.get()).nack(delay=1)
        await queue.statistics()
        await queue.join()
        await queue.shutdown(immediate=True)


@pytest.mark.parametrize("word", sorted(QUEUE_KEYS))
async def test_a_key_of_another_type_is_named_and_nothing_is_written(
    session: Session, name: str, client: Redis, word: str
) -> None:
    queue = Queue(session, name, int, maxsize=2)
    key = f"{{{name}}}:{QUEUE_KEYS[word].suffix}"
    await client.set(key, "somebody else's")
    with pytest.raises(ConcurrencyError, match=re.escape(key)):
        await use_all(queue, None if word in load("register").keys else "one")
    assert await client.getdel(key) == b"somebody else's"


async def test_a_flushed_queue_goes_on_and_what_was_held_is_stale(server: EmbeddedServer) -> None:
    async with Session.open(server.url, ttl=0.5) as session, Redis.from_url(server.url, protocol=3) as client:
        queue = Queue(session, "flushed", int)
        await queue.put_many([1, 2, 3])
        delivery = await queue.get()
        await client.flushall()
        with pytest.raises(StaleDelivery):
            await delivery.ack()
        async with asyncio.timeout(5):
            await queue.put(4)
            async with await queue.get() as item:
                assert item == 4
        with pytest.raises(QueueEmpty):
            await queue.get_nowait()


async def put_one(url: str) -> None:
    async with asyncio.timeout(5), Session.open(url) as session:
        await Queue(session, "weak", int).put(1)


async def refused(url: str, what: str) -> None:
    with pytest.raises(ServerRefused, match=what):
        async with Session.open(url, connect_timeout=5):
            pass


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "volatile-lru"])
async def test_a_server_that_evicts_is_refused_with_the_remedy(server: EmbeddedServer, policy: str) -> None:
    async with Redis.from_url(server.url, protocol=3) as client:
        await client.config_set("maxmemory-policy", policy)
    await refused(server.url, f"{policy}.*CONFIG SET maxmemory-policy noeviction")


async def test_a_wrong_password_is_refused_at_once(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url, protocol=3) as client:
        await client.config_set("requirepass", "right")
        await refused(server.url, "password")
        await refused(f"{server.url}&password=wrong", "password")
        await put_one(f"{server.url}&password=right")


async def test_a_user_without_rights_is_told_what_is_missing(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url, protocol=3) as client:
        rights = ["+@connection", "+info", "+subscribe", "+evalsha", "+eval", "~*", "&*"]
        await client.execute_command("ACL", "SETUSER", "weak", "on", ">pass", *rights)
        with pytest.raises(ServerRefused, match="ACL"):
            await put_one(f"{server.url}&username=weak&password=pass")
        assert await client.exists("{weak}:pending") == 0


async def test_a_server_that_is_mended_is_used_again(server: EmbeddedServer) -> None:
    async with Session.open(server.url, refusal_grace=0) as session, Redis.from_url(server.url, protocol=3) as client:
        queue = Queue(session, "mended", int)
        await queue.put(1)
        await client.config_set("maxmemory-policy", "allkeys-lru")
        await client.client_kill_filter(_type="normal", skipme=True)
        await client.client_kill_filter(_type="pubsub", skipme=True)

        async def refused() -> bool:
            try:
                await queue.qsize()
            except ServerRefused:
                return True
            return False

        await until(refused, bool)
        await client.config_set("maxmemory-policy", "noeviction")
        await until(refused, lambda seen: not seen)
        # A connection that breaks later is an outage as any other.
        await client.client_kill_filter(_type="normal", skipme=True)
        await client.client_kill_filter(_type="pubsub", skipme=True)
        await queue.put(2)
        assert await queue.qsize() == 2
