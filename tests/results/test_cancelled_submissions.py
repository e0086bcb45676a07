"""A submission that is cancelled: its message is given up, once, and nobody else's."""

import asyncio
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Queue,
    QueueEmpty,
    Session,
)
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments import inside
from tests.instruments.answering import given_up, kept
from tests.instruments.census import take_census
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)

EIGHT_DAYS: Final = 8 * 24 * 3600 * 1000
"""In ms."""


async def test_a_future_that_is_cancelled_gives_its_message_up(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    futures = [await queue.submit(number) for number in range(5)]
    for at in (0, 2, 4):
        assert futures[at].cancel()
    await given_up(client, queue.name, 3)
    for at in (1, 3):
        delivery = await there.get_nowait()
        assert delivery.item == at
        await delivery.ack(result=at)
    with pytest.raises(QueueEmpty):
        await there.get_nowait()
    assert [await futures[1], await futures[3]] == [1, 3]
    await given_up(client, queue.name, 0)
    async with asyncio.timeout(100):
        await queue.join()
    statistics = await queue.statistics()
    assert (statistics.put_total, statistics.acked_total, statistics.cancelled_total) == (5, 2, 3)
    assert (statistics.pending, statistics.leased) == (0, 0)
    (await take_census(client, queue.name)).check()


async def test_more_than_a_step_drops_are_passed_over(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    for future in await asyncio.gather(*(queue.submit(number) for number in range(2500))):
        future.cancel()
    await queue.put(-1)
    await given_up(client, queue.name, 2500)
    async with asyncio.timeout(5), await there.get() as item:
        assert item == -1
    async with asyncio.timeout(5):
        await queue.join()
    assert (await queue.statistics()).cancelled_total == 2500


async def test_a_message_that_waits_for_its_next_attempt_is_given_up_too(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    futures = [await queue.submit(number) for number in range(2)]
    deliveries = [await there.get(), await there.get()]
    await deliveries[0].nack()
    await deliveries[1].nack(delay=0.05)
    for future in futures:
        future.cancel()
    await given_up(client, queue.name, 2)
    taking = asyncio.create_task(there.get())
    async with asyncio.timeout(5):
        await queue.join()
    assert (await queue.statistics()).cancelled_total == 2
    await queue.put(9)
    async with await taking as item:
        assert item == 9


async def test_what_has_been_taken_is_handled_and_its_result_dropped(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    future = await queue.submit(1)
    delivery = await there.get()
    future.cancel()
    await given_up(client, queue.name, 1)
    await delivery.ack(result=1)
    await given_up(client, queue.name, 0)
    assert await kept(client, queue.name) == 0
    assert (await queue.statistics()).cancelled_total == 0


async def test_a_mark_is_forgotten_after_eight_days(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    marks = queue_keys(queue.name)["marks"]
    for future in [await queue.submit(1), await queue.submit(2)]:
        future.cancel()
    await given_up(client, queue.name, 2)
    assert EIGHT_DAYS - 60_000 < await client.pttl(marks) <= EIGHT_DAYS  # of a queue that nobody uses, with its key
    recent, old = sorted(await client.zrange(marks, 0, -1))
    seconds, _ = await client.time()
    await client.zadd(marks, {recent: seconds * 1000 - EIGHT_DAYS + 60_000, old: seconds * 1000 - EIGHT_DAYS - 1_000})
    async with await there.get() as item:
        assert item == 2
    assert (await queue.statistics()).cancelled_total == 1


async def test_what_is_answered_is_not_marked(
    queue: Queue[int], there: Queue[int], client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    future = await queue.submit(1)
    monkeypatch.setattr(inside.result_lane_at(queue), "receive", lambda *_: None)  # the answer is on its way
    await (await there.get()).ack(result=1)
    assert await kept(client, queue.name) == 1
    future.cancel()
    await asyncio.sleep(0)
    await inside.results_flushed(queue)
    await given_up(client, queue.name, 0)
    assert await kept(client, queue.name) == 0


async def test_a_submission_that_is_cancelled_while_it_waits_is_withdrawn(
    session: Session, name: str, there: Queue[int]
) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    waiting = asyncio.create_task(queue.submit(1))
    await until(queue.statistics, lambda statistics: statistics.puts_waiting == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        _ = await waiting
    statistics = await queue.statistics()
    assert (statistics.puts_waiting, statistics.put_total) == (0, 1)
    async with await there.get() as item:
        assert item == 0


async def test_a_submission_cancelled_while_nobody_knows_whether_it_is_in_is_given_up(
    proxy: Proxy, there: Queue[int], client: Redis
) -> None:
    async with Session.open(proxy.url) as session:
        queue = Queue(session, there.name, int)
        async with proxy.holding("put") as hold:
            submitting = asyncio.create_task(queue.submit(1))
            await hold.arrived.wait()  # it is in the queue, and the answer that says so is on its way
            submitting.cancel()
            await asyncio.wait({submitting})  # nobody can tell it what became of the message
            assert submitting.cancelled()
        await given_up(client, queue.name, 1)
        with pytest.raises(QueueEmpty):
            await there.get_nowait()
        assert (await there.statistics()).cancelled_total == 1


async def test_wait_for_gives_up_what_took_too_long(queue: Queue[int], client: Redis) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(await queue.submit(1), 0.01)
    await given_up(client, queue.name, 1)


async def test_cancelling_a_second_submission_gives_up_its_own_only(session: Session, url: str, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0)
    async with Session.open(url) as other:
        theirs = Queue(other, name, int)
        first = asyncio.create_task(queue.submit(7, id="one"))
        await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
        second = asyncio.create_task(theirs.submit(7, id="one"))
        await until(queue.statistics, lambda seen: seen.puts_waiting == 2)
        await queue.resize(5)
        mine, attached = await first, await second
        attached.cancel()
        await asyncio.sleep(0)
        await inside.results_flushed(theirs)
        await (await queue.get()).ack()
        async with asyncio.timeout(100):
            delivery = await queue.get()
            await delivery.ack("done")
            assert await mine == "done"
