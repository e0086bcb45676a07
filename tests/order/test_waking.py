"""Who is idle gets the next of a key when it may go, not when it looks again (rule 11)."""

import asyncio

import pytest
from redis.asyncio import Redis

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
