"""Rule 30: a message that waits is cancelled in whatever state it is, and never begins again."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Cancellation,
    Queue,
    QueueEmpty,
    Session,
    StaleDelivery,
)
from tests.instruments import inside
from tests.instruments.cancelling import at_rest, cancelling
from tests.instruments.census import take_census
from tests.instruments.emptying import drain, take
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


# --- where it waits --------------------------------------------------------------------------------------------------


async def test_pending_it_is_removed_by_the_next_take(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    await queue.put(1, id="one")
    await queue.put(2)
    assert await queue.cancel("one", timeout=0) is Cancellation.ASKED
    waiting = await cancelling(queue, client)
    assert await take(there, 1) == [2]
    assert await waiting is Cancellation.REMOVED
    assert (await queue.statistics()).cancelled_total == 1
    await at_rest(client, queue.name)


async def test_by_its_key_where_it_has_no_id(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    await queue.put(1)
    delivery = await there.get()
    await delivery.nack()
    waiting = await cancelling(queue, client, delivery.id)
    assert await drain(there) == []
    assert await waiting is Cancellation.REMOVED
    await at_rest(client, queue.name)


@pytest.mark.parametrize("delay", [0.0, 0.05])
async def test_given_back_or_delayed_it_does_not_come_again(
    queue: Queue[int], there: Queue[int], client: Redis, delay: float
) -> None:
    await queue.put(1, id="one")
    await (await there.get()).nack(delay=delay)
    waiting = await cancelling(queue, client)
    getting = asyncio.create_task(there.get())
    assert await waiting is Cancellation.REMOVED
    await queue.put(2)
    async with asyncio.timeout(40), await getting as item:
        assert item == 2
    await at_rest(client, queue.name)


async def test_a_suspect_is_not_delivered_alone_either(
    queue: Queue[int], session: Session, other: Session, there: Queue[int], client: Redis
) -> None:
    await queue.put(1, id="one")
    for _ in range(2):
        delivery = await there.get()
        assert delivery.item == 1
        await inside.crash(client, session, queue.name, other)
    assert (await take_census(client, queue.name)).suspects == 1
    waiting = await cancelling(queue, client)
    with pytest.raises(QueueEmpty):
        await there.get_nowait()
    assert await waiting is Cancellation.REMOVED
    await at_rest(client, queue.name)


async def test_its_room_is_free_for_the_put_that_waits(session: Session, there: Queue[int], client: Redis) -> None:
    queue = Queue(session, there.name, int, maxsize=1)
    await queue.put(1, id="one")
    putting = asyncio.create_task(queue.put(2))
    await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
    assert await queue.cancel("one", timeout=0) is Cancellation.ASKED
    async with asyncio.timeout(40):
        assert await take(there, 1) == [2]
        await putting
    await at_rest(client, queue.name)


async def test_more_than_a_script_drops_are_passed_over(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    await asyncio.gather(*(queue.put(number, id=f"id-{number}") for number in range(1200)))
    await asyncio.gather(*(queue.cancel(f"id-{number}", timeout=0) for number in range(1200)))
    await queue.put(-1)
    async with asyncio.timeout(100):
        assert await take(there, 1) == [-1]
    assert (await queue.statistics()).cancelled_total == 1200
    await at_rest(client, queue.name)


# --- handed over, and lost sessions ----------------------------------------------------------------------------------


async def test_what_a_dead_session_held_is_removed_at_its_recovery(
    queue: Queue[int], session: Session, other: Session, there: Queue[int], client: Redis
) -> None:
    await queue.put(1, id="one")
    held = await there.get()
    await inside.end_session(client, other, queue.name)  # it is not live any more: nobody notifies it
    waiting = await cancelling(queue, client)
    assert not held.cancelled
    await inside.recover(session, queue.name, inside.session_id_at(there))
    assert await waiting is Cancellation.REMOVED
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    inside.pass_deadline(other, queue.name)
    with pytest.raises(StaleDelivery):
        await held.ack()
    await at_rest(client, queue.name)


async def test_what_a_session_leaves_behind_is_removed(queue: Queue[int], url: str, client: Redis) -> None:
    await queue.put(1, id="one")
    async with Session.open(url) as leaving:
        there = Queue(leaving, queue.name, int)
        delivery = await there.get()
        receipt = inside.receipt_of(delivery)
        inside.forget(there, delivery)  # nobody has it in hands: its end gives it back
        assert receipt
        waiting = await cancelling(queue, client)
    assert await waiting in {Cancellation.REMOVED, Cancellation.STOPPED}
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    await at_rest(client, queue.name)
