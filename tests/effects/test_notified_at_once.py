"""Acknowledgements with effects notify at once whoever waits for them: well before anybody looks again by himself."""

import asyncio
from typing import Any

import pytest

from shared.concurrency import Queue, QueueShutDown, Session
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments import inside
from tests.instruments.waiting import until

AT_ONCE = 0.5
"""Seconds; the look of insurance comes after one."""


async def test_the_last_one_notifies_who_joins(session: Session, other: Session, client: Any, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    delivery = await queue.get()
    delivery.effects.incrby(f"{{{name}}}:count")
    joining = asyncio.create_task(Queue(other, name, int).join())
    await until(lambda: client.zcard(queue_keys(name)["joiners"]), lambda count: count == 1)
    assert not joining.done()
    await delivery.ack()
    async with asyncio.timeout(AT_ONCE):
        await joining
    assert await client.get(f"{{{name}}}:count") == b"1"


async def test_the_last_one_notifies_who_gets_from_a_queue_that_is_shut_down(
    session: Session, other: Session, client: Any, name: str
) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    delivery = await queue.get()
    delivery.effects.incrby(f"{{{name}}}:count")
    getting = asyncio.create_task(Queue(other, name, int).get())
    await queue.shutdown()
    await until(lambda: client.zcard(queue_keys(name)["idle"]), lambda count: count == 1)
    await delivery.ack()
    with pytest.raises(QueueShutDown):
        async with asyncio.timeout(AT_ONCE):
            await getting


async def test_who_forwarded_a_put_is_notified_of_room(session: Session, other: Session, name: str) -> None:
    first, second = Queue(session, name, int), Queue(session, f"{name}-2", int, maxsize=2)
    for item in range(4):
        await first.put(item)
        async with (delivery := await first.get()) as number:
            delivery.effects.put(second, number)
    assert inside.is_backpressured(first)  # two are in, and two wait for room
    await first.put(4)
    getting = asyncio.create_task(first.get())
    theirs = Queue(other, second.name, int)
    async with asyncio.timeout(AT_ONCE):
        for item in range(4):
            async with await theirs.get() as number:
                assert number == item
        async with await getting as number:
            assert number == 4
    assert not inside.is_backpressured(first)
