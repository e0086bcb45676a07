"""How many crashes make a dead letter is stored with the queue: 1 to 9, or never."""

from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, QueueEmpty, Session
from tests.instruments import inside


async def crash(url: str, session: Session, client: Redis, name: str) -> int:
    """Have a process of its own take the message and die with it; returns which attempt it was."""
    async with Session.open(url) as dying:
        delivery = await Queue(dying, name, int).get()
        await inside.crash(client, session, name, dying)
        return delivery.attempt


@pytest.mark.parametrize("limit", [1, 2, 9])
async def test_so_many_crashes_make_a_dead_letter(
    url: str, session: Session, client: Redis, name: str, limit: int
) -> None:
    queue = Queue(session, name, int, max_crashes=limit)
    await queue.put(1)
    for attempt in range(1, limit + 1):
        assert (await queue.statistics()).dead_total == 0
        assert await crash(url, session, client, name) == attempt
    (letter,) = await queue.dead_letters()
    assert (letter.reason, letter.attempt) == ("crashed", limit)
    assert letter.error.endswith("once" if limit == 1 else f"{limit} times")


async def test_without_a_limit_it_is_never_one_and_stays_alone(
    url: str, session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int, max_crashes=None)
    await queue.put(1)
    for attempt in range(1, 13):
        assert await crash(url, session, client, name) == attempt
    (entry,) = await client.lrange(f"{{{name}}}:suspects", 0, -1)  # type: ignore[misc]
    assert (entry[38:39], len(entry)) == (b"9", 52 + len("1"))
    await queue.put(2)
    assert (await crash(url, session, client, name), await crash(url, session, client, name)) == (13, 14)
    # It was alone: the other message has no crash.
    async with Session.open(url) as taking:
        suspect = await Queue(taking, name, int).get()
        other = await Queue(taking, name, int).get()
        assert {suspect.item: suspect.attempt, other.item: other.attempt} == {1: 15, 2: 1}
        for delivery in (suspect, other):
            await delivery.ack()
    statistics = await queue.statistics()
    assert (statistics.dead_total, statistics.acked_total, statistics.max_crashes) == (0, 2, None)


async def test_giving_back_is_no_crash_though_the_limit_is_lower_now(
    url: str, session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    for _ in range(3):
        await crash(url, session, client, name)
    await Queue(session, name, int, max_crashes=2).statistics()
    async with Session.open(url) as leaving:
        held = await Queue(leaving, name, int).get()
    assert inside.is_lost(held)
    assert ((await queue.statistics()).dead_total, (await queue.statistics()).delayed) == (0, 1)
    await crash(url, session, client, name)
    assert (await queue.statistics()).dead_total == 1


@pytest.mark.parametrize("first,stored", [(3, 3), (None, None), (..., 5)])
async def test_whoever_says_it_first_decides(
    session: Session, other: Session, name: str, first: Any, stored: Any
) -> None:
    await Queue(session, name, int, max_crashes=first).put(1)
    later = Queue(other, name, int, max_crashes=first if first is ... else 7)
    await (await later.get_nowait()).ack()
    assert (await later.statistics()).max_crashes == stored


async def test_a_queue_that_takes_what_is_stored_says_nothing(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    assert not await client.hexists(f"{{{name}}}:settings", "max_crashes")  # type: ignore[misc]
