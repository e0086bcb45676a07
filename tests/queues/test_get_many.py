"""`queue.get_many`: several messages together, each settled by itself in the end."""

import asyncio
from typing import Any

import pytest

from shared.concurrency import Queue, QueueShutDown, Session, StaleDelivery
from tests.instruments import inside
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until


async def leased(queue: Queue[int]) -> int:
    return (await queue.statistics()).leased


async def test_as_many_as_there_are_room_for_come_at_once_in_order(queue: Queue[int]) -> None:
    await queue.put_many(range(10))
    async with asyncio.timeout(5), await queue.get_many(4, within=3600) as batch:
        assert batch.items == [0, 1, 2, 3]
        assert [delivery.item for delivery in batch] == batch.items
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.pending, statistics.leased) == (4, 6, 0)


async def test_it_waits_for_the_first_then_so_long_for_others(queue: Queue[int]) -> None:
    loop = asyncio.get_running_loop()
    getting = asyncio.create_task(queue.get_many(10, within=0.3))
    await asyncio.sleep(0)
    before = loop.time()
    await queue.put(1)
    await queue.put(2)
    async with asyncio.timeout(5), await getting as batch:
        assert loop.time() - before >= 0.3
        assert batch.items == [1, 2]


async def test_an_exception_nacks_all_but_those_that_fail_by_themselves(session: Session, name: str) -> None:
    queue = Queue(session, name, int, max_attempts=1)
    await queue.put_many(range(4))
    with pytest.raises(KeyError):
        async with await queue.get_many(4, within=1) as batch:
            batch.fail(batch[1], ValueError("one"))
            await batch[2].ack()
            raise KeyError("all")
    assert sorted((int(letter.body), letter.error) for letter in await queue.dead_letters()) == [
        (0, "KeyError: 'all'"), (1, "ValueError: one"), (3, "KeyError: 'all'"),
    ]  # fmt: skip


async def test_one_fails_and_the_others_are_acknowledged(session: Session, name: str) -> None:
    queue = Queue(session, name, int, max_attempts=1)
    await queue.put_many(range(3))
    async with await queue.get_many(3, within=1) as batch:
        batch.fail(batch[1], ValueError("one"))
    assert [int(letter.body) for letter in await queue.dead_letters()] == [1]
    assert (await queue.statistics()).acked_total == 2


async def test_a_cancelled_get_many_loses_nothing(queue: Queue[int]) -> None:
    await queue.put_many(range(3))
    getting = asyncio.create_task(queue.get_many(10, within=3600))
    await until(lambda: leased(queue), lambda count: count == 3)
    getting.cancel()
    await asyncio.wait({getting})
    assert getting.cancelled()
    await until(lambda: leased(queue), lambda count: count == 0)
    async with asyncio.timeout(5), await queue.get_many(3, within=3600) as batch:
        assert batch.items == [0, 1, 2]
        assert [delivery.failures for delivery in batch] == [0, 0, 0]


async def test_a_cancelled_body_gives_back(queue: Queue[int]) -> None:
    await queue.put_many(range(3))
    begun = asyncio.Event()

    async def hang() -> None:
        async with await queue.get_many(3, within=1):
            begun.set()
            await asyncio.sleep(1000)

    hanging = asyncio.create_task(hang())
    await begun.wait()
    hanging.cancel()
    await asyncio.wait({hanging})
    statistics = await queue.statistics()
    assert (hanging.cancelled(), statistics.leased, statistics.nacked_total, statistics.delayed) == (True, 0, 0, 3)


async def _fails_one_and_hangs(queue: Queue[int], begun: asyncio.Event) -> None:
    async with await queue.get_many(3, within=1) as batch:
        batch.fail(batch[1], ValueError("one"))
        begun.set()
        await asyncio.sleep(1000)


async def test_a_cancelled_body_settles_all_in_one_call(through_proxy: Session, proxy: Proxy, name: str) -> None:
    queue, begun = Queue(through_proxy, name, int, max_attempts=1), asyncio.Event()
    await queue.put_many(range(3))
    hanging = asyncio.create_task(_fails_one_and_hangs(queue, begun))
    await begun.wait()
    before = proxy.count("settle_and_take")
    hanging.cancel()
    await asyncio.wait({hanging})
    assert (hanging.cancelled(), proxy.count("settle_and_take") - before) == (True, 1)
    statistics = await queue.statistics()
    assert (statistics.leased, statistics.delayed, statistics.dead) == (0, 2, 1)


async def test_a_cancelled_body_does_not_wait_for_a_server_out_of_reach(
    through_proxy: Session, proxy: Proxy, name: str
) -> None:
    queue, begun = Queue(through_proxy, name, int), asyncio.Event()
    await queue.put_many(range(3))
    hanging = asyncio.create_task(_fails_one_and_hangs(queue, begun))
    await begun.wait()
    with proxy.frozen():
        hanging.cancel()
        await asyncio.wait({hanging}, timeout=20)
        assert hanging.cancelled()


async def test_a_batch_of_which_one_was_settled_is_entered_with_the_others(queue: Queue[int]) -> None:
    await queue.put_many(range(3))
    batch = await queue.get_many(3, within=1)
    await batch[1].ack()
    async with batch as entered:
        assert entered.items == [0, 1, 2]
    assert (await queue.statistics()).acked_total == 3


async def test_a_batch_of_which_all_were_settled_is_not_entered(queue: Queue[int]) -> None:
    await queue.put_many(range(2))
    batch = await queue.get_many(2, within=1)
    for delivery in batch:
        await delivery.ack()
    with pytest.raises(StaleDelivery, match="settled before"):
        async with batch:
            pytest.fail("entered")


async def test_a_batch_of_which_one_was_settled_and_the_others_lost_is_not_entered(queue: Queue[int]) -> None:
    await queue.put_many(range(2))
    batch = await queue.get_many(2, within=1)
    await batch[0].ack()
    member = inside.member_at(queue)
    member.over(member.session_id)
    with pytest.raises(StaleDelivery, match="lost with its session"):
        async with batch:
            pytest.fail("entered")


async def test_the_loss_of_the_session_cancels_the_body_once(queue: Queue[int]) -> None:
    await queue.put_many(range(3))
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(StaleDelivery, match="the batch was lost"):
        async with await queue.get_many(3, within=1):
            member = inside.member_at(queue)
            member.over(member.session_id)
            await asyncio.sleep(1000)
    assert task.cancelling() == 0


async def test_a_shut_down_queue_gives_what_is_left_and_then_says_so(queue: Queue[int]) -> None:
    await queue.put_many(range(2))
    await queue.shutdown()
    async with asyncio.timeout(5), await queue.get_many(5, within=0.1) as batch:
        assert batch.items == [0, 1]
    with pytest.raises(QueueShutDown):
        await queue.get_many(5, within=0.1)


async def test_what_cannot_be_read_is_passed_over(session: Session, name: str) -> None:
    texts: Queue[Any] = Queue(session, name, str)
    queue = Queue(session, name, int)
    await texts.put("no number")
    await queue.put(7)
    async with asyncio.timeout(5), await queue.get_many(2, within=3600) as batch:
        assert batch.items == [7]
    assert [letter.reason for letter in await queue.dead_letters()] == ["invalid"]


@pytest.mark.parametrize(
    "most,within",
    [
        (0, 1),
        (-1, 1),
        (1001, 1),
        (True, 1),
        (1.5, 1),
        ("9", 1),
        (1, 0),
        (1, -1),
        (1, "1"),
        (1, True),
        (1, float("nan")),
    ],
)
async def test_bad_input_is_refused_and_takes_nothing(queue: Queue[int], most: Any, within: Any) -> None:
    await queue.put(1)
    with pytest.raises(ValueError, match="most" if within == 1 and within is not True else "within"):
        await queue.get_many(most, within=within)
    async with await queue.get() as item:
        assert item == 1


async def test_a_delivery_of_another_batch_is_refused(queue: Queue[int]) -> None:
    await queue.put_many(range(2))
    async with await queue.get_many(1, within=1) as one, await queue.get_many(1, within=1) as other:
        with pytest.raises(ValueError, match="not of this batch"):
            one.fail(other[0], ValueError())
        await one[0].ack()
        with pytest.raises(StaleDelivery):
            one.fail(one[0], ValueError())
