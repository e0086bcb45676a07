"""More than one call of a script can carry: nothing is lost, doubled or left waiting behind the limit."""

import asyncio
from typing import Any

import pytest

from shared.concurrency import (
    Queue,
    QueueFull,
    Session,
)
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments.emptying import take
from tests.instruments.waiting import until


async def test_a_session_that_holds_many_gives_all_back(url: str, session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(450))
    async with Session.open(url) as ending:
        held = [await Queue(ending, name, int).get() for _ in range(450)]
    assert len(held) == 450
    seen = await queue.statistics()
    assert (seen.delayed, seen.leased, seen.recovered_total) == (450, 0, 0)
    assert await take(queue, 450) == list(range(450))


async def test_more_than_500_given_back_in_one_call(
    session: Session, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(700))
    held = [await queue.get() for _ in range(700)]
    await asyncio.gather(*(handout_of(delivery).settled("return") for delivery in held))
    seen = await queue.statistics()
    assert (seen.delayed, seen.leased) == (700, 0)
    assert await take(queue, 700) == list(range(700))
    assert "stale" not in caplog.text  # each went back once


async def test_failures_are_counted_to_999(session: Session, client: Any, name: str) -> None:
    queue = Queue(session, name, int, max_attempts=300)
    await queue.put(1)
    pending = queue_keys(name)["pending"]
    entry = await client.lpop(pending)
    await client.rpush(pending, entry[:45] + b"120" + entry[48:])
    await (await queue.get()).nack()
    delivery = await queue.get()
    assert delivery.failures == 121
    await delivery.ack()


async def test_put_nowait_behind_puts_that_wait_for_a_place_in_line(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    puts = [asyncio.create_task(queue.put(number)) for number in range(1, 1001)]
    await until(queue.statistics, lambda seen: seen.puts_waiting == 500)
    with pytest.raises(QueueFull):
        async with asyncio.timeout(100):
            await queue.put_nowait(-1)
    for put in puts:
        put.cancel()
    await asyncio.wait(puts)


async def test_an_immediate_shutdown_buries_more_than_one_call_can(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(1300))
    await queue.shutdown(immediate=True)
    seen = await queue.statistics()
    assert (seen.pending, seen.dead) == (0, 1300)


async def test_more_than_one_call_settles_tells_everybody(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(2500))
    held = [await queue.get() for _ in range(2500)]
    async with asyncio.timeout(40):
        await asyncio.gather(*(delivery.ack() for delivery in held))
    assert (await queue.statistics()).acked_total == 2500
