"""Rule 30: a put that waits for room is cancelled."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Cancellation,
    MessageCancelled,
    Queue,
    Session,
)
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments.cancelling import at_rest
from tests.instruments.emptying import drain, take
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import resolved, until

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def full(other: Session, name: str) -> AsyncIterator[Queue[int]]:
    """A queue with room for one, which is taken; what waits at the end is admitted and taken."""
    queue = Queue(other, name, int, maxsize=1)
    await queue.put(0)
    yield queue
    await drain(queue)


async def test_a_put_that_waits_for_room_leaves_the_line_and_raises(
    full: Queue[int], queue: Queue[int], client: Redis
) -> None:
    puts = [asyncio.create_task(full.put(number, id=f"id-{number}")) for number in range(1, 4)]
    await until(queue.statistics, lambda seen: seen.puts_waiting == 3)
    assert await queue.cancel("id-2") is Cancellation.REMOVED
    with pytest.raises(MessageCancelled, match="waited for room"):
        async with asyncio.timeout(40):
            await puts[1]
    assert (await queue.statistics()).puts_waiting == 2
    async with asyncio.timeout(40):
        assert await take(queue, 3) == [0, 1, 3]
        assert (await puts[0], await puts[2]) == (True, True)
    assert not await full.put(2, id="id-2"), "its id is known from then on"
    seen = await queue.statistics()
    assert (seen.put_total, seen.cancelled_total) == (3, 0), "it never was in the queue"
    await at_rest(client, queue.name)


async def test_a_put_that_waits_is_found_in_a_long_line(full: Queue[int], queue: Queue[int]) -> None:
    puts = [asyncio.create_task(full.put(number, id=f"id-{number}")) for number in range(1, 1301)]
    puts[:0] = [asyncio.create_task(queue.put(-number, id=f"id+{number}")) for number in range(1, 501)]
    await until(queue.statistics, lambda seen: seen.puts_waiting >= 900)
    assert await queue.cancel("id+437") is Cancellation.REMOVED
    assert await queue.cancel("id-1") is Cancellation.REMOVED
    assert await queue.cancel("nobody") is Cancellation.UNKNOWN
    async with asyncio.timeout(40):
        ended = [await asyncio.gather(puts[at], return_exceptions=True) for at in (436, 500)]
    assert [type(one) for (one,) in ended] == [MessageCancelled, MessageCancelled]
    for put in puts:
        put.cancel()
    await asyncio.wait(puts)


async def test_a_put_that_was_cancelled_while_its_owner_was_cut_off_raises(
    full: Queue[int], proxy: Proxy, queue: Queue[int]
) -> None:
    async with Session.open(proxy.url) as far:
        putting = asyncio.create_task(Queue(far, full.name, int).put(7, id="seven"))
        await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
        with proxy.refusing():
            assert await queue.cancel("seven") is Cancellation.REMOVED
        with pytest.raises(MessageCancelled):
            async with asyncio.timeout(40):
                await putting
        assert not await Queue(far, full.name, int).put(7, id="seven")


async def test_a_forwarded_put_that_waits_is_taken_out_and_its_sender_goes_on(
    full: Queue[int], other: Session, queue: Queue[int], client: Redis
) -> None:
    source = Queue(other, f"{full.name}-source", int)
    await source.put(1)
    delivery = await source.get()
    delivery.effects.put(full, 8)
    await delivery.ack()
    (key,) = await resolved(client.lrange(queue_keys(full.name)["putters"].decode(), 0, -1))
    assert await queue.cancel(key.decode()) is Cancellation.REMOVED
    seen = await queue.statistics()
    assert (seen.puts_waiting, seen.forwards_waiting, seen.cancelled_total) == (0, 0, 1)
    assert await take(queue, 1) == [0]
    async with asyncio.timeout(40):
        await queue.join()
    await at_rest(client, queue.name)


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
async def test_a_call_whose_answer_is_lost_has_one_effect(
    proxy: Proxy, full: Queue[int], queue: Queue[int], fate: Fate
) -> None:
    putting = asyncio.create_task(full.put(1, id="one"))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    async with Session.open(proxy.url) as far:
        there = Queue(far, full.name, int)
        await there.statistics()
        met = proxy.drop_nth(1, fate, lambda command: command.name == "cancel")
        assert await there.cancel("one") is Cancellation.REMOVED
        assert met.is_set()
    with pytest.raises(MessageCancelled):
        await putting
