"""Acknowledgements in one call, some of them refused: what one would have written counts for no other."""

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from shared.concurrency import EffectRefused, Queue


@pytest.mark.parametrize("lasting", [True, False])
async def test_what_those_before_a_refused_one_add_counts_for_those_behind_it(
    queue: Queue[int], client: Redis, name: str, *, lasting: bool
) -> None:
    text, counts, other = f"{{{name}}}:text", f"{{{name}}}:counts", f"{{{name}}}:other"
    most = 2**53 - 1
    await cast("Awaitable[int]", client.hset(counts, "a", str(most - 10)))
    await client.set(text, "abc")
    await queue.put_many(range(4))
    add, refused, too_much, list_ = [await queue.get() for _ in range(4)]
    add.effects.hincrby(counts, "a", 1)
    add.effects.hincrby(other, "a", 1)
    if not lasting:
        add.effects.expire(counts, 1000)
    refused.effects.incrby(text)
    too_much.effects.hincrby(counts, "a", 10)
    list_.effects.rpush(other, "more")  # which is a hash by then
    each = (add, refused, too_much, list_)
    outcomes = await asyncio.gather(*(one.ack() for one in each), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), EffectRefused, EffectRefused, EffectRefused]
    assert await cast("Awaitable[Any]", client.hget(counts, "a")) == b"%d" % (most - 9)
    assert await cast("Awaitable[Any]", client.hgetall(other)) == {b"a": b"1"}
    for one in each[1:]:
        await one.dead_letter("a test")


async def test_what_a_refused_one_would_have_deleted_is_there_for_the_others(
    queue: Queue[int], client: Redis, name: str
) -> None:
    text, other = f"{{{name}}}:text", f"{{{name}}}:other"
    await client.mset({text: "abc", other: "abc"})
    await queue.put_many([1, 2, 3])
    first, second, third = [await queue.get() for _ in range(3)]
    first.effects.delete(text)
    first.effects.incrby(other)  # which is no number: nothing of the first is written
    second.effects.rpush(text, "more")  # which is no list, for nobody has deleted it
    third.effects.incrby(f"{{{name}}}:count")
    outcomes = await asyncio.gather(*(each.ack() for each in (first, second, third)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EffectRefused, EffectRefused, type(None)]
    found: Any = await client.mget(text, other, f"{{{name}}}:count")
    assert found == [b"abc", b"abc", b"1"]
    for refused in (first, second):
        await refused.dead_letter("a test")
