"""Who is idle gets the next of a key when it may go, not when it looks again (rule 11)."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from shared import Priority
from shared.concurrency import Queue, Session
from tests.instruments.waiting import until
from tests.order.watching import at_rest, take


@pytest.mark.usefixtures("only_notified")
@pytest.mark.parametrize("delay", [0, 0.1])
@pytest.mark.parametrize("effects", [0, 1])
async def test_one_that_let_others_pass_comes_when_its_turn_has_come(
    both: list[Session], client: Redis, name: str, delay: float, effects: int
) -> None:
    queue, theirs = (Queue(session, name, int) for session in both)
    await queue.put_many([0, 1], key="k")
    await (await take(queue)).nack(delay=delay, hold_key=False)
    last = await take(queue)
    getting = asyncio.create_task(take(theirs))
    await until(lambda: client.zcard(f"{{{name}}}:idle"), lambda idle: idle == 1)
    if effects:
        last.effects.incrby(f"{name}-effect", 1)
    await last.ack()
    async with asyncio.timeout(100), await getting as item:
        assert item == 0
    await at_rest(queue)


@pytest.mark.usefixtures("only_notified")
@pytest.mark.parametrize("asked", [{"share": "a"}, {"priority": Priority.LOW}], ids=str)
async def test_whoever_leaves_one_of_a_share_wakes_the_next(
    both: list[Session], url: str, client: Redis, name: str, asked: dict[str, Any]
) -> None:
    async with Session.open(url) as third:
        queue = Queue(third, name, int)
        await queue.put(0, **asked)  # with whom the queue gets a level, which wakes all
        await (await take(queue)).ack()
        getting = [asyncio.create_task(take(Queue(session, name, int))) for session in both]
        await until(lambda: client.zcard(f"{{{name}}}:idle"), lambda idle: idle == 2)
        await queue.put_many([1, 2], **asked)
        async with asyncio.timeout(100):
            deliveries = await asyncio.gather(*getting)
        assert {delivery.item for delivery in deliveries} == {1, 2}
        for delivery in deliveries:
            await delivery.ack()
        await at_rest(queue)
