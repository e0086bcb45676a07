"""A queue that newer processes use too: what this one does not know it leaves to them (rule 16)."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, QueueEmpty, Session
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments import inside
from tests.instruments.waiting import until

LATER = b"0000000000x014"
"""The middle of an entry whose FLAG is of a later protocol: counts, FLAG, the length of the headers."""
HEADERS = b'{"flow":"1  k"}'[:14]


async def put_later(session: Session, name: str) -> None:
    """Put an entry of a later protocol, as a newer process does."""
    puts = inside.put_lane_of(session, name)
    batch = puts.submit([puts.numbering.entry(LATER + HEADERS, b"2")], may_wait=True)
    await batch.done


async def test_an_entry_of_a_later_protocol_is_set_aside_and_counted_once(
    session: Session, name: str, client: Redis
) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    await put_later(session, name)
    await queue.put(3)
    for _ in range(2):
        taken = [await queue.get(), await queue.get()]
        assert [delivery.item for delivery in taken] == [1, 3]
        with pytest.raises(QueueEmpty):
            await queue.get_nowait()
        seen = await queue.statistics()
        assert (seen.delayed, seen.dead, seen.put_total, seen.pending) == (1, 0, 3, 0)
        for delivery in taken:
            await delivery.nack()
        # When it is due again, it is set aside again.
        delayed = queue_keys(name)["delayed"]
        for entry in await client.zrange(delayed, 0, -1):
            await client.zadd(delayed, {entry: 1})


async def test_one_alone_is_not_handed_to_who_cannot_read_it(url: str, session: Session, name: str) -> None:
    async with Session.open(url) as far:
        queue, theirs = Queue(session, name, int), Queue(far, name, int)
        getting = asyncio.create_task(theirs.get())

        async def idle() -> bool:
            return inside.is_idle(far, name)

        await until(idle, bool)
        await put_later(session, name)
        await until(queue.statistics, lambda seen: seen.delayed == 1)
        assert (await queue.statistics()).dead == 0
        await queue.put(5)
        async with await getting as item:
            assert item == 5


async def test_an_entry_that_is_none_is_a_dead_letter_as_ever(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.qsize()
    start = b"1" * 16 + b"k" * 22
    junk = [
        b"x" * 80,
        start + b"0000000000X014" + HEADERS,
        start + b"0000000000x0x4" + HEADERS,
        start + b"no counts.x014" + HEADERS,
    ]
    for entry in junk:
        await inside.command_at(queue, "RPUSH", queue_keys(name)["pending"].decode(), entry.decode())
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    assert [letter.reason for letter in await queue.dead_letters()] == ["undecodable"] * len(junk)


async def test_one_that_is_none_does_not_stop_the_queue_where_it_is_delayed(
    session: Session, name: str, client: Redis
) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    await client.zadd(queue_keys(name)["delayed"], {b"x" * 80: 1})
    async with await queue.get_nowait() as item:
        assert item == 1
    assert [letter.reason for letter in await queue.dead_letters()] == ["undecodable"]
