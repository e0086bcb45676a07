"""A limit with a number at once and a rate: what frees the one may be held up by the other."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Rate, Session
from tests.limits.watching import at_rest
from tests.order.watching import take


@pytest.mark.parametrize("end", ["ack", "nack", "dead_letter"])
async def test_a_place_that_is_free_before_its_token_is_given_when_that_comes(
    session: Session, client: Redis, name: str, end: str
) -> None:
    """Nothing else moves meanwhile: whoever ends leaves the gate closed by its rate alone."""
    queue = Queue(session, name, int)
    await queue.limit("api", at_once=1, rate=Rate(5))
    await queue.put_many(range(3), limit="api")
    async with asyncio.timeout(10):
        first = await take(queue)
        await (first.dead_letter("unwanted") if end == "dead_letter" else getattr(first, end)())
        found: list[int] = []
        while len(found) < (3 if end == "nack" else 2):
            async with await take(queue) as item:
                found.append(item)
    # What comes back goes before what is new.
    assert found == [0, 1, 2][-len(found) :]
    if end == "dead_letter":
        assert await queue.discard([first.id]) == 1
    await at_rest(client, name)
