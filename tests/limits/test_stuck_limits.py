"""A slow limit takes no room from what can go (rule 28): an eighth of the bound stands at a gate at most."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, QueueFull, QueueShutDown, Session
from tests.instruments.emptying import drain
from tests.instruments.waiting import until
from tests.limits.watching import at_rest, of
from tests.order.watching import take


async def filled(queue: Queue[int], count: int) -> asyncio.Task[None]:
    """Put `count` messages of the limit `slow`, of which one goes; returns once as many wait as have to."""
    await queue.limit("slow", at_once=1)
    putting = asyncio.create_task(queue.put_many(range(count), limit="slow"))
    await until(queue.statistics, lambda seen: seen.puts_waiting == count - 1 - seen.maxsize // 8)
    return putting


async def test_another_limit_is_let_in_at_once_beside_a_stuck_one(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=40), Queue(other, name, int)
    await queue.qsize()
    putting = await filled(theirs, 30)
    await queue.limit("quick", at_once=10)
    for item in range(100, 110):
        assert await queue.put_nowait(item, limit="quick")
        assert await queue.put_nowait(item + 100)
    with pytest.raises(QueueFull):
        await queue.put_nowait(1, limit="slow")
    limit = await of(queue, "slow")
    assert (limit.running, limit.waiting, limit.puts_waiting) == (0, 6, 24)
    found: list[int] = []
    while len(found) < 50:
        async with await take(queue) as item:
            found.append(item)
            assert (await queue.statistics()).pending <= 40
    await putting
    assert [item for item in found if item < 100] == list(range(30))
    await at_rest(client, name)


async def test_without_numbers_and_without_a_bound_nobody_waits_for_a_limit(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=8)
    await queue.put_many(range(8), limit="slow")
    await queue.resize(0)
    await queue.limit("slow", at_once=1)
    await queue.put_many(range(8, 100), limit="slow")
    assert sorted(await drain(queue)) == list(range(100))


async def test_who_waits_for_its_limit_is_let_in_when_that_is_lifted(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    queue, theirs = Queue(session, name, int, maxsize=16), Queue(other, name, int)
    await queue.qsize()
    putting = await filled(theirs, 10)
    held = await take(queue)
    await queue.limit("slow")
    found = await drain(queue)
    await putting
    await held.ack()
    assert sorted([*found, *await drain(queue)]) == list(range(1, 10))
    await at_rest(client, name)


async def test_a_cancelled_put_that_waits_for_its_limit_leaves_nothing(
    session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int, maxsize=8)
    await queue.qsize()
    putting = await filled(queue, 3)
    putting.cancel()
    await asyncio.wait({putting})
    assert (await of(queue, "slow")).puts_waiting == 0
    assert await drain(queue) == [0, 1]
    await at_rest(client, name)


@pytest.mark.parametrize("immediate", [False, True])
async def test_a_shutdown_refuses_who_waits_for_its_limit(
    session: Session, client: Redis, name: str, *, immediate: bool
) -> None:
    queue = Queue(session, name, int, maxsize=8)
    await queue.qsize()
    putting = await filled(queue, 4)
    await queue.shutdown(immediate=immediate)
    with pytest.raises(QueueShutDown):
        await putting
    seen = await queue.statistics()
    assert (seen.pending, seen.dead) == ((0, 2) if immediate else (2, 0))
    if not immediate:
        for expected in (0, 1):
            async with await take(queue) as item:
                assert item == expected
    await at_rest(client, name)


async def test_one_with_a_key_and_a_limit_waits_for_both_and_keeps_its_order(
    session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int, maxsize=16)
    await queue.limit("slow", at_once=1)
    putting = asyncio.create_task(queue.put_many(range(20), limit="slow", key=lambda item: str(item % 2)))
    await until(queue.statistics, lambda seen: seen.puts_waiting > 10)
    found: list[int] = []
    while len(found) < 20:
        async with await take(queue) as item:
            found.append(item)
    await putting
    assert [[item for item in found if item % 2 == key] for key in (0, 1)] == [
        list(range(0, 20, 2)),
        list(range(1, 20, 2)),
    ]
    await at_rest(client, name)
