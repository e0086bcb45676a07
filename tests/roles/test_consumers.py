"""A consumer's user: it takes, settles, writes effects, forwards and recovers."""

import asyncio
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, EffectRefused, Queue, Session, StaleDelivery
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.granted import granted, refused
from tests.instruments.waiting import until


async def test_it_takes_settles_and_writes_every_kind_of_effect(server: EmbeddedServer, admin: Redis) -> None:
    url = await granted(admin, server.url, "consumer", "jobs", "mail")
    async with Session.open(url, ttl=1.0) as session, Session.open(server.url) as theirs:
        queue, mail = Queue(session, "jobs", int), Queue(session, "mail", int)
        ours = Queue(theirs, "jobs", int)
        await ours.put_many(list(range(1, 5)))
        delivery = await queue.get()
        await delivery.nack()
        delivery = await queue.get()
        effects, key = delivery.effects, "{jobs}:ours:"
        effects.set(key + "set", "x")
        effects.incrby(key + "number", 2)
        effects.hset(key + "hash", "field", "x")
        effects.hincrby(key + "counts", "field", 1)
        effects.rpush(key + "list", "x")
        effects.sadd(key + "words", "x")
        effects.delete(key + "old")
        effects.expire(key + "set", timedelta(hours=1).total_seconds())
        await delivery.ack()
        await (await queue.get()).dead_letter("unwanted")
        delivery = await queue.get()
        await delivery.nack(delay=0.01)
        submitted = await ours.submit(7)
        item = 0
        while item != 7:  # what was given back may come before it
            delivery = await queue.get()
            item = delivery.item
            await delivery.progress(0.5)
            await delivery.ack(result=None)
        assert await submitted is None
        await mail.put(8)  # it may put, too
        async with await mail.get() as item:
            assert item == 8
        assert (
            await admin.exists("{jobs}:ours:words", "{jobs}:ours:list", "{jobs}:ours:hash", "{jobs}:ours:counts") == 4
        )
    assert await refused(admin) == []


async def test_it_forwards_more_than_one_call_holds_and_orders_keys(server: EmbeddedServer, admin: Redis) -> None:
    url = await granted(admin, server.url, "consumer", "shop/jobs", "shop/mail")
    async with Session.open(url) as session:
        queue, mail = Queue(session, "jobs", int, group="shop"), Queue(session, "mail", int, group="shop")
        await queue.put(1, key="customer")
        await queue.put(2, key="customer")
        delivery = await queue.get()
        for number in range(1100):
            delivery.effects.put(mail, number)
        await delivery.ack()
        await until(mail.statistics, lambda seen: seen.pending == 1100)
        async with await queue.get() as item:
            assert item == 2
    assert await refused(admin) == []


async def test_a_worker_of_it_drains_a_queue_and_recovers_what_a_dead_one_held(
    server: EmbeddedServer, admin: Redis
) -> None:
    url = await granted(admin, server.url, "consumer", "jobs")
    handled = list[int]()

    async def handle(delivery: Delivery[int]) -> None:
        handled.append(delivery.item)

    async with Session.open(url) as session, Session.open(server.url) as dead:
        queue = Queue(session, "jobs", int)
        await queue.put_many([1, 2, 3])
        lost = await Queue(dead, "jobs", int).get()
        await inside.end_session(admin, dead, "jobs")
        worker = Worker(queue, handle, concurrency=2)
        working = asyncio.create_task(worker.run())
        await until(lambda: asyncio.sleep(0, sorted(handled)), lambda seen: seen == [1, 2, 3])
        worker.drain()
        await working
        with pytest.raises(StaleDelivery):
            await lost.ack()
    assert await refused(admin) == []


async def test_effects_on_keys_of_others_are_a_failure_of_that_message_alone(
    server: EmbeddedServer, admin: Redis
) -> None:
    url = await granted(admin, server.url, "consumer", "jobs")
    async with Session.open(url) as session:
        queue = Queue(session, "jobs", int)
        await queue.put_many([1, 2])
        delivery = await queue.get()
        delivery.effects.set("{other}:key", "x")
        with pytest.raises(EffectRefused, match="ACL"):
            await delivery.ack()
        await delivery.dead_letter("not ours")
        async with await queue.get() as item:
            assert item == 2
    assert await admin.exists("{other}:key") == 0
