"""Acknowledgements in one call that write to the same keys: each field once, and all as if one went after the other."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from shared.concurrency import Delivery, Queue, Session
from shared.local.embedded import EmbeddedServer

MOST = 2**53 - 1


async def taken(queue: Queue[int], count: int) -> list[Delivery[int]]:
    await queue.put_many(range(count))
    return [await queue.get() for _ in range(count)]


async def test_a_field_that_many_add_to_is_written_once(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url, protocol=3) as client, Session.open(server.url, ttl=60) as session:
        deliveries = await taken(Queue(session, "jobs", int), 200)
        for delivery in deliveries:
            delivery.effects.hincrby("{jobs}:counts", {"all": 1, f"last {delivery.item % 10}": delivery.item})
        await client.config_resetstat()
        await asyncio.gather(*(delivery.ack() for delivery in deliveries))
        used: Any = await client.info("commandstats")
        found: Any = await client.hgetall("{jobs}:counts")
    assert found == {b"all": b"200"} | {b"last %d" % n: b"%d" % sum(range(n, 200, 10)) for n in range(10)}
    # One call of two or three: 11 fields in each, and the queue's own counts. It was 400.
    assert used["cmdstat_hincrby"]["calls"] < 50


async def test_so_is_one_whose_key_expires_with_each_of_them(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url, protocol=3) as client, Session.open(server.url, ttl=60) as session:
        deliveries = await taken(Queue(session, "jobs", int), 200)
        for delivery in deliveries:
            delivery.effects.hincrby("{jobs}:some", "all")
            delivery.effects.expire("{jobs}:some", 1000)
        await client.config_resetstat()
        await asyncio.gather(*(delivery.ack() for delivery in deliveries))
        used: Any = await client.info("commandstats")
        assert await client.hget("{jobs}:some", "all") == b"200"
        assert await client.ttl("{jobs}:some") > 900
    # One call of two or three, and the first finds no key that could expire. It was 200.
    assert used["cmdstat_hincrby"]["calls"] < 20


async def test_other_writes_to_the_hash_keep_their_place_among_the_sums(
    queue: Queue[int], client: Any, name: str
) -> None:
    counts = f"{{{name}}}:counts"
    add, put, add_again, forget, add_last, keep = await taken(queue, 6)
    add.effects.hincrby(counts, "a", 5)
    put.effects.hset(counts, "a", 100)
    add_again.effects.hincrby(counts, {"a": 1, "b": 2})
    forget.effects.delete(counts)
    add_last.effects.hincrby(counts, "b", 7)
    keep.effects.expire(counts, 1000)
    await asyncio.gather(*(each.ack() for each in (add, put, add_again, forget, add_last, keep)))
    found: Any = await client.hgetall(counts)
    assert found == {b"b": b"7"}
    assert await client.ttl(counts) > 900


async def test_a_sum_is_exact_though_what_is_added_to_it_together_is_beyond_a_double(
    queue: Queue[int], client: Any, name: str
) -> None:
    counts = f"{{{name}}}:counts"
    await client.hset(counts, "a", str(-MOST))
    first, second, third = await taken(queue, 3)
    for each in (first, second):
        each.effects.hincrby(counts, "a", MOST)
    third.effects.hincrby(counts, "a", -2)
    await asyncio.gather(*(each.ack() for each in (first, second, third)))
    assert await client.hget(counts, "a") == b"%d" % (MOST - 2)


async def test_what_a_refused_one_would_have_added_counts_for_no_other(
    queue: Queue[int], client: Any, name: str
) -> None:
    counts, text = f"{{{name}}}:counts", f"{{{name}}}:text"
    await client.hset(counts, "a", str(MOST - 10))
    await client.set(text, "abc")
    first, refused, last = await taken(queue, 3)
    first.effects.hincrby(counts, "a", 1)
    refused.effects.hincrby(counts, "a", 9)
    refused.effects.incrby(text)
    last.effects.hincrby(counts, "a", 9)
    outcomes = await asyncio.gather(*(each.ack() for each in (first, refused, last)), return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["NoneType", "EffectRefused", "NoneType"]
    assert await client.hget(counts, "a") == b"%d" % MOST
    await refused.dead_letter("a test")
