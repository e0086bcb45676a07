"""A message whose holders crashed is handed out alone, whatever becomes of it."""

from typing import Any

import pytest

from shared.concurrency import Queue, QueueFull, Session
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments import inside


async def make_suspect(url: str, client: Any, session: Session, name: str, crashes: int = 2) -> None:
    for _ in range(crashes):
        async with Session.open(url) as dying:
            delivery = await Queue(dying, name, int).get()
            await inside.crash(client, session, name, dying)
            assert inside.is_lost(delivery)


async def test_suspects_count_against_the_bound(url: str, session: Session, client: Any, name: str) -> None:
    queue = Queue(session, name, int, maxsize=2)
    await queue.put(1)
    await make_suspect(url, client, session, name)
    seen = await queue.statistics()
    assert (seen.pending, seen.delayed) == (0, 1)
    await queue.put(2)
    with pytest.raises(QueueFull):
        await queue.put_nowait(3)


async def test_a_suspect_that_is_nacked_stays_one(url: str, session: Session, client: Any, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    await make_suspect(url, client, session, name)
    keys = queue_keys(name)
    await (await queue.get()).nack()
    assert (await client.llen(keys["suspects"]), await client.llen(keys["returned"])) == (1, 0)
    delivery = await queue.get()
    await delivery.nack(delay=600)
    (entry,) = await client.zrange(keys["delayed"], 0, -1)
    await client.zadd(keys["delayed"], {entry: 1})
    await queue.put(2)
    async with await queue.get_nowait() as item:  # what is due goes to the suspects first, not among others
        assert item == 2
    await (await queue.get()).ack()
