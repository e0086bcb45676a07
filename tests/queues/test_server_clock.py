"""The server's clock: what is delayed is on time, beside others that wait, and after the clock was set back."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments.inside import session_id_of
from tests.instruments.waiting import until

HOUR = 3_600_000


async def now_of(client: Redis) -> int:
    seconds, microseconds = await client.time()
    return int(seconds * 1000 + microseconds // 1000)


async def set_back(client: Redis, name: str) -> None:
    """Leave what a clock leaves that was an hour ahead, and was set right: a renewal saw it."""
    ahead = await now_of(client) + HOUR
    await client.execute_command("HSET", queue_keys(name)["settings"], "clock", ahead)  # type: ignore[no-untyped-call]


async def behind(client: Redis, name: str) -> int:
    """How far the clock went back, in ms, by the queue's account."""
    return int(await client.execute_command("HGET", queue_keys(name)["settings"], "behind") or 0)  # type: ignore[no-untyped-call]


async def idle(client: Redis, name: str, count: int = 1) -> None:
    await until(lambda: client.zcard(queue_keys(name)["idle"]), lambda number: number == count)


@pytest.mark.measured
@pytest.mark.timing
async def test_what_is_nacked_with_a_delay_is_on_time_while_another_session_waits(
    queue: Queue[int], other: Session, name: str, client: Redis
) -> None:
    theirs = Queue(other, name, int)
    late = []
    for number in range(3):
        await queue.put(number)
        delivery = await queue.get()
        waiting = asyncio.create_task(theirs.get())
        await idle(client, name)
        began = time.monotonic()
        await delivery.nack(delay=0.1)
        again = await waiting
        late.append(time.monotonic() - began - 0.1)
        await again.ack()
    assert max(late) < 0.3  # it was 0.9, the next time that they looked by themselves


@pytest.mark.measured
@pytest.mark.timing
async def test_whoever_knows_of_it_is_the_last_to_get_something_else(
    queue: Queue[int], url: str, name: str, client: Redis
) -> None:
    async with Session.open(url) as one, Session.open(url) as two:
        await queue.put(0)
        delivery = await queue.get()
        waiting = [asyncio.create_task(Queue(each, name, int).get()) for each in (one, two)]
        await idle(client, name, 2)
        began = time.monotonic()
        await delivery.nack(delay=0.3)
        # It is for the one who does not know when the other is due.
        await queue.put(1)
        got = [await delivery for delivery in asyncio.as_completed(waiting)]
        assert time.monotonic() - began < 0.7
        assert sorted(each.item for each in got) == [0, 1]
        for each in got:
            await each.ack()


async def test_what_is_delayed_far_ahead_wakes_nobody(
    queue: Queue[int], other: Session, name: str, client: Redis
) -> None:
    theirs = Queue(other, name, int)
    await queue.put_many([1, 2])
    first, second = await queue.get(), await queue.get()
    waiting = asyncio.create_task(theirs.get())
    await idle(client, name)
    (before,) = await client.zrange(queue_keys(name)["idle"], 0, -1, withscores=True)
    await first.nack(delay=60)
    assert await client.zrange(queue_keys(name)["idle"], 0, -1, withscores=True) == [before]
    await second.nack()
    await (await waiting).ack()


async def test_the_clock_set_back_delays_nothing_by_as_much(url: str, name: str, client: Redis) -> None:
    async with Session.open(url, ttl=0.6) as session:
        queue = Queue(session, name, int)
        await queue.put_many([1, 2])
        # What a clock leaves that was an hour ahead: a renewal saw it, and a delivery was nacked with a delay by it.
        await set_back(client, name)
        delivery = await queue.get()
        before = await now_of(client)
        await delivery.nack(delay=0.3)
        ((_, due),) = await client.zrange(queue_keys(name)["delayed"], 0, -1, withscores=True)
        assert due >= before + HOUR
        async with asyncio.timeout(5):
            deliveries = [await queue.get() for _ in range(2)]
        assert [each.item for each in deliveries] == [2, 1]
        for each in deliveries:
            await each.ack()
        # It goes on by a clock that never went back.
        assert HOUR - 5000 < await behind(client, name) <= HOUR


async def test_after_the_clock_was_set_back_no_delay_is_shorter(url: str, name: str, client: Redis) -> None:
    async with Session.open(url, ttl=0.6) as session:
        queue = Queue(session, name, int)
        await queue.put(1)
        await set_back(client, name)
        await until(lambda: behind(client, name), bool)
        for delay in (0.2, 0.4):
            delivery = await queue.get()
            began = await now_of(client)
            await delivery.nack(delay=delay)
            again = await queue.get()
            assert await now_of(client) - began >= delay * 1000
            await again.nack()


async def test_a_session_that_was_registered_by_a_clock_far_ahead_is_right_at_the_next_renewal(
    url: str, name: str, client: Redis
) -> None:
    sessions = queue_keys(name)["sessions"]
    async with Session.open(url, ttl=0.6) as session:
        queue = Queue(session, name, int)
        await queue.qsize()
        mine = session_id_of(session, name)
        # A hundred of longer lives that are right, and a hundred that died when the clock was ahead.
        now = await now_of(client)
        live = {f"liveowner{number:03}.1.60000": now + 50_000 + number for number in range(100)}
        dead = {f"deadowner{number:03}.1.600": now + HOUR + number for number in range(100)}
        await client.zadd(sessions, {**live, **dead, mine: now + HOUR})
        await until(lambda: client.zscore(sessions, mine), lambda score: score is not None and score < now + 10_000)
        scores = {key.decode(): score for key, score in await client.zrange(sessions, 0, -1, withscores=True)}
        assert all(scores[each] <= now + 10_000 for each in dead if each in scores)
        await client.zrem(sessions, *live, *dead)


async def test_for_how_long_it_waits_is_measured_by_a_clock_that_never_goes_back(
    queue: Queue[int], name: str, client: Redis
) -> None:
    await queue.put(1)
    await handout_of(await queue.get()).settled("wait", f"0 {HOUR // 2}")
    # An hour passes, and then the clock is set back by an hour.
    await client.execute_command("HSET", queue_keys(name)["settings"], "behind", HOUR)  # type: ignore[no-untyped-call]
    await handout_of(await queue.get()).settled("wait", f"0 {HOUR // 2}")
    delivery = await queue.get()
    assert delivery.failures == 1
    await delivery.ack()
