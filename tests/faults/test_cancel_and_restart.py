"""A message is cancelled while the server goes away, and comes back with its data or with older data."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import Cancellation, MessageCancelled, Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.faults.test_disagreement import restart_with_older_data
from tests.faults.test_restart import kill_and_start
from tests.instruments import inside
from tests.instruments.cancelling import at_rest, cancelling
from tests.instruments.emptying import drain, take
from tests.instruments.waiting import resolved, until

pytestmark = pytest.mark.timeout(180)


async def test_a_mark_outlives_the_server(durable: EmbeddedServer) -> None:
    async with Session.open(durable.url) as session, Session.open(durable.url) as other:
        queue, there = Queue(session, "q", int), Queue(other, "q", int)
        await queue.put(1, id="pending")
        await queue.put(2, id="held")
        await queue.pause()
        for id_ in ("pending", "held"):
            assert await queue.cancel(id_, timeout=0) is Cancellation.ASKED
        await kill_and_start(durable)
        await queue.resume()
        assert await drain(there) == []
        async with Redis.from_url(durable.url) as client:
            await at_rest(client, "q")


async def test_a_holder_is_stopped_though_the_server_went_away_meanwhile(durable: EmbeddedServer) -> None:
    async with Session.open(durable.url) as session, Session.open(durable.url) as other:
        queue, there = Queue(session, "q", int), Queue(other, "q", int)
        await queue.put(1, id="one")
        delivery = await there.get()
        await asyncio.to_thread(durable.kill)
        waiting = asyncio.create_task(queue.cancel("one", timeout=20))
        await asyncio.sleep(0)
        durable.start()
        assert await waiting is Cancellation.STOPPED
        assert delivery.cancelled
        async with Redis.from_url(durable.url) as client:
            await at_rest(client, "q")


async def test_who_waits_marks_it_again_where_older_data_know_nothing_of_it(
    server: EmbeddedServer, client: Redis
) -> None:
    async with Session.open(server.url) as session, Session.open(server.url) as other:
        queue, there = Queue(session, "q", int), Queue(other, "q", int)
        await queue.put(1, id="one")
        await queue.pause()
        await client.save()
        waiting = await cancelling(queue, client)
        await restart_with_older_data(server)

        async def marks() -> int:
            return await resolved(client.zcard("{q}:marks"))

        await until(marks, lambda count: count == 1)  # the look once a second
        await queue.resume()
        assert await drain(there) == []
        assert await waiting is Cancellation.REMOVED
        await at_rest(client, "q")


async def test_what_was_taken_out_of_the_line_does_not_come_back_with_older_data(
    server: EmbeddedServer, client: Redis
) -> None:
    async with Session.open(server.url) as session, Session.open(server.url) as other:
        queue, there = Queue(session, "q", int, maxsize=1), Queue(other, "q", int)
        await queue.put(0)
        putting = asyncio.create_task(queue.put(1, id="one"))
        await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
        await client.save()
        assert await there.cancel("one") is Cancellation.REMOVED
        with pytest.raises(MessageCancelled):
            await putting
        await restart_with_older_data(server)
        # The place is there again, and its owner does not wait any more. It is a message like those that were lost:
        # who is told REMOVED has the server's word, which an older server takes back.
        assert await there.cancel("one") is Cancellation.REMOVED
        assert await take(there, 1) == [0]
        assert await drain(there) == []


async def test_what_a_server_that_was_emptied_held_is_unknown(server: EmbeddedServer, client: Redis) -> None:
    async with Session.open(server.url) as session, Session.open(server.url) as other:
        queue, there = Queue(session, "q", int), Queue(other, "q", int)
        await queue.put(1, id="one")
        delivery = await there.get()
        receipt = inside.receipt_of(delivery)
        await client.flushall()
        assert await queue.cancel("one") is Cancellation.UNKNOWN
        assert receipt
        assert not delivery.cancelled
        inside.forget(there, delivery)
