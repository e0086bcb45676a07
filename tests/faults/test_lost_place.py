"""A put that waits loses its session while the server's memory is full, and its caller may be cancelled too."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.concurrency.queues.membership.keys import queue_keys
from shared.concurrency.session import insurance
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.emptying import take
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until


async def lose_place_while_memory_is_full(session: Session, queue: Queue[int], client: Redis) -> "asyncio.Task[bool]":
    """Have a put of 1 wait behind 0, end its session, and refuse it its place under the next one."""
    await queue.put(0)
    waiting = asyncio.create_task(queue.put(1))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    await inside.end_session(client, session, queue.name)
    await client.config_set("maxmemory", 1)
    inside.pass_deadline(session, queue.name)
    puts = inside.put_lane_of(session, queue.name)
    await until(lambda: asyncio.sleep(0, inside.waits_for_memory(puts)), bool)
    return waiting


async def test_a_put_gets_its_place_again_though_memory_was_full(
    server: EmbeddedServer, client: Redis, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insurance, "AT_FIRST", 3600.0)  # no look of insurance finds it later
    async with Session.open(server.url) as session:
        queue = Queue(session, name, int, maxsize=1)
        waiting = await lose_place_while_memory_is_full(session, queue, client)
        await client.config_set("maxmemory", 0)
        assert await take(queue, 1) == [0]
        async with asyncio.timeout(5):
            await waiting
        inside.pass_deadline(session, name)  # who still waits is put again
        await queue.resize(0)
        await queue.put(2)
        assert await take(queue, 2) == [1, 2]
        assert await queue.qsize() == 0


@pytest.mark.usefixtures("only_notified")
async def test_a_put_gets_its_place_again_at_once(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    waiting = asyncio.create_task(queue.put(1))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    await inside.give_up_membership(queue)  # the server has dropped it with the session
    inside.pass_deadline(session, name)
    assert await take(queue, 2) == [0, 1]
    await waiting


async def test_a_put_whose_place_somebody_has_deleted_is_put_again(session: Session, client: Redis, name: str) -> None:
    queue, keys = Queue(session, name, int, maxsize=1), queue_keys(name)
    await queue.put(0)
    waiting = asyncio.create_task(queue.put(1))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    await client.delete(keys["putters"], keys["bodies"])
    assert await take(queue, 1) == [0]  # which lets nobody in
    async with asyncio.timeout(20):  # a look of insurance finds that it does not wait there any more
        await waiting
    assert await take(queue, 1) == [1]


async def test_a_put_that_is_cancelled_then_is_not_put_again(server: EmbeddedServer, client: Redis, name: str) -> None:
    async with Session.open(server.url) as session:
        queue = Queue(session, name, int, maxsize=1)
        waiting = await lose_place_while_memory_is_full(session, queue, client)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        await client.config_set("maxmemory", 0)
        assert await take(queue, 1) == [0]
        async with asyncio.timeout(5):
            await queue.put(2)
        assert await take(queue, 1) == [2]
        assert (await queue.statistics()).put_total == 2


@pytest.mark.usefixtures("only_notified")
async def test_a_put_behind_a_withdrawal_is_not_taken_for_let_in_with_it(
    proxy: Proxy, url: str, client: Redis, name: str
) -> None:
    async with Session.open(proxy.url) as session, Session.open(url) as another:
        queue, other = Queue(session, name, int, maxsize=1), Queue(another, name, int)
        await queue.put(0)
        waiting = asyncio.create_task(queue.put(1, share="a"))
        await until(other.statistics, lambda seen: seen.puts_waiting == 1)
        before = proxy.count("put")
        proxy.judge = lambda command: Fate.DROP_BEFORE if command.name == "put" else Fate.PASS
        waiting.cancel()
        behind = asyncio.create_task(queue.put(2))  # in one call with the withdrawal, which does not arrive
        await until(lambda: asyncio.sleep(0, proxy.count("put")), lambda count: count > before)
        assert await take(other, 1) == [0]  # which lets the other one in
        await client.config_set("maxmemory", 1)  # and now only withdrawals get through
        proxy.judge = lambda _: Fate.PASS
        puts = inside.put_lane_of(session, name)
        await until(lambda: asyncio.sleep(0, behind.done() or inside.waits_for_memory(puts)), bool)
        assert not behind.done()
        await client.config_set("maxmemory", 0)
        assert await take(other, 2) == [1, 2]
        await behind
        assert (await other.statistics()).put_total == 3
