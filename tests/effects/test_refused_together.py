"""Acknowledgements in one call, some of them refused: what one would have written counts for no other."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from shared.concurrency import EffectRefused, Queue


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
