"""The server goes away, comes back, forgets its scripts, kills connections, is out of memory: calls go on."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, QueueFull, QueueStatistics, ServerUnavailable, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.census import take_census
from tests.instruments.emptying import take
from tests.instruments.waiting import until

pytestmark = [pytest.mark.timing, pytest.mark.timeout(180)]


async def kill_and_start(server: EmbeddedServer) -> None:
    await asyncio.to_thread(server.kill)
    # Started from this thread: the kernel ends a child with the thread that started it.
    server.start()


async def test_puts_and_gets_go_on_while_the_server_is_killed_and_restarted(durable: EmbeddedServer) -> None:
    count, kills = 1500, 3
    handled: set[int] = set()
    halves = asyncio.Queue[int]()

    async def handle(delivery: Delivery[int]) -> None:
        handled.add(delivery.item)
        if len(handled) % (count // (kills + 1)) == 0:
            halves.put_nowait(len(handled))
        await asyncio.sleep(0)

    async with Session.open(durable.url, ttl=1.0) as producer, Session.open(durable.url, ttl=1.0) as consumer:
        queue = Queue(producer, "restart", int, maxsize=50)
        worker = Worker(Queue(consumer, "restart", int), handle, concurrency=4)
        working = asyncio.create_task(worker.run())

        async def produce(first: int) -> None:
            for number in range(first, count, 3):
                await queue.put(number)

        producing = [asyncio.create_task(produce(first)) for first in range(3)]
        for _ in range(kills):
            await halves.get()
            await kill_and_start(durable)
        async with asyncio.timeout(100):
            await asyncio.gather(*producing)
            await queue.join()
        worker.drain()
        await working
        assert handled == set(range(count))
        statistics = await queue.statistics()
        assert (statistics.put_total, statistics.acked_total) == (count, count)
        # No session was declared over for an outage that was the server's.
        assert statistics.recovered_total == 0


async def test_what_waits_at_the_moment_of_the_kill_goes_on(durable: EmbeddedServer) -> None:
    async with Session.open(durable.url, ttl=1.0) as session:
        queue = Queue(session, "waits", int, maxsize=1)
        empty = Queue(session, "empty", int)
        await queue.put(0)
        held = await queue.get()
        await queue.put(1)
        put, get, join = (
            asyncio.create_task(queue.put(2)),
            asyncio.create_task(empty.get()),
            asyncio.create_task(queue.join()),
        )
        await until(queue.statistics, lambda statistics: statistics.puts_waiting == 1)
        await until(empty.statistics, lambda statistics: statistics.puts_waiting == 0)
        await kill_and_start(durable)
        await held.ack()
        assert await take(queue, 2) == [1, 2]
        await empty.put(3)
        async with asyncio.timeout(40):
            await asyncio.gather(put, join)
            async with await get as item:
                assert item == 3


async def test_a_call_during_an_outage_waits_and_can_be_bounded(server: EmbeddedServer) -> None:
    async with Session.open(server.url) as session:
        queue = Queue(session, "outage", int)
        await queue.put(1)
        server.kill()
        for call in (queue.qsize, queue.get, lambda: queue.put(2)):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await call()
        server.start()
        # It came back empty: what was in its memory only is gone, and it is used as it is.
        async with asyncio.timeout(40):
            await queue.put(3)
        items = await take(queue, 1)
        while items[-1] != 3:
            items += await take(queue, 1)
        # A put cancelled while the server was out of reach may go in later.
        assert items in ([3], [2, 3])


async def test_opening_a_session_gives_up_where_no_server_is(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match="no server answered"):
        async with Session.open(f"unix://{tmp_path}/nobody.sock", connect_timeout=0.2):
            pass


async def test_scripts_that_the_server_forgot_are_sent_again(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(1)
    put = asyncio.create_task(queue.put(2))
    await until(queue.statistics, lambda statistics: statistics.puts_waiting == 1)
    await client.script_flush()
    assert await take(queue, 1) == [1]
    await client.script_flush()
    await put
    await client.script_flush()
    assert (await queue.statistics()).pending == 1
    assert await take(queue, 1) == [2]


@pytest.mark.parametrize("kind", ["normal", "pubsub"])
async def test_killed_idle_connections_harm_nobody(server: EmbeddedServer, kind: str) -> None:
    async with (
        Session.open(server.url) as getting,
        Session.open(server.url) as putting,
        Redis.from_url(server.url, protocol=3, single_connection_client=True) as client,
    ):
        empty, full = Queue(getting, "empty", int), Queue(putting, "full", int, maxsize=1)
        await full.put(1)
        get, put = asyncio.create_task(empty.get()), asyncio.create_task(full.put(2))
        await until(full.statistics, lambda statistics: statistics.puts_waiting == 1)

        async def idle() -> int:
            waiting: int = await client.zcard("{empty}:idle")
            return waiting

        await until(idle, bool)
        await client.client_kill_filter(_type=kind, skipme=True)
        async with asyncio.timeout(5):
            await Queue(putting, "empty", int).put(7)
            async with await get as item:
                assert item == 7
            async with await Queue(getting, "full", int).get() as item:
                assert item == 1
            await put


def has_acked(count: int, statistics: QueueStatistics) -> bool:
    return statistics.acked_total >= count


async def test_a_server_that_kills_every_connection_is_survived(server: EmbeddedServer) -> None:
    async with Session.open(server.url) as session, Redis.from_url(server.url, protocol=3) as client:
        queue = Queue(session, "kills", int, maxsize=10)
        taken = asyncio.create_task(take(queue, 300))
        put = asyncio.create_task(queue.put_many(range(300)))
        kinds = ["normal", "pubsub"] * 6
        for nth, kind in enumerate(kinds, 1):
            await client.client_kill_filter(_type=kind, skipme=True)
            await until(queue.statistics, partial(has_acked, 20 * nth))
        await put
        assert sorted(await taken) == list(range(300))
        (await take_census(client, "kills")).check()


async def test_a_put_waits_while_memory_is_full_and_draining_goes_on(server: EmbeddedServer) -> None:
    async with Session.open(server.url) as session, Redis.from_url(server.url, protocol=3) as client:
        queue = Queue(session, "memory", int, max_attempts=1)
        await queue.put_many(range(6))
        await client.config_set("maxmemory", 1)
        puts = [asyncio.create_task(queue.put(number)) for number in (6, 7)]
        with pytest.raises(QueueFull):
            await queue.put_nowait(8)
        # Every way out of the queue works, and so does everything that looks at it.
        await (await queue.get()).ack()
        await (await queue.get()).nack()
        await (await queue.get()).dead_letter("a test")
        assert len(await queue.dead_letters()) == 2
        assert await queue.discard() == 2
        cancelled = asyncio.create_task(queue.put(9))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        assert await take(queue, 3) == [3, 4, 5]
        await queue.join()
        assert not any(put.done() for put in puts)
        await client.config_set("maxmemory", 0)
        assert await take(queue, 2) == [6, 7]
        await asyncio.gather(*puts)
        assert await queue.qsize() == 0


async def test_a_session_lives_on_while_memory_is_full(server: EmbeddedServer) -> None:
    async with Session.open(server.url, ttl=0.5) as session, Redis.from_url(server.url, protocol=3) as client:
        queue = Queue(session, "renewals", int)
        await queue.put(1)
        delivery = await queue.get()
        await client.config_set("maxmemory", 1)
        before = await deadline(client, "renewals")
        # Renewed twice at least since.
        await until(lambda: deadline(client, "renewals"), lambda seen: seen > before + 300)
        await delivery.ack()
        await client.config_set("maxmemory", 0)


async def deadline(client: Redis, name: str) -> float:
    [(_, score)] = await client.zrange(f"{{{name}}}:sessions", 0, -1, withscores=True)
    return float(score)
