"""A process with many puts of one flow has places for its others: what waits in it takes turns (rule 22)."""

import asyncio

import pytest

from shared import Priority
from shared.concurrency import Queue, QueueFull, Session
from shared.concurrency.queues.encoding.entry import pack_middle, with_flow
from shared.concurrency.queues.encoding.flow import Way, pack_flow
from shared.concurrency.queues.membership.level import Level
from shared.concurrency.queues.puts.batch import Batch
from shared.concurrency.queues.puts.numbering import Numbering
from shared.concurrency.queues.puts.turns import Turns
from tests.instruments import inside
from tests.instruments.waiting import until
from tests.order.watching import at_rest, take


async def drained(queue: Queue[int]) -> list[int]:
    seen = []
    while (await queue.statistics()).pending:
        delivery = await take(queue)
        seen.append(delivery.item)
        await delivery.ack()
    return seen


async def test_one_flow_leaves_places_for_the_others_of_its_process(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    flood = asyncio.create_task(queue.put_many(range(1000), share="flood"))
    await until(queue.statistics, lambda seen: seen.puts_waiting >= 250)
    more = [asyncio.create_task(queue.put(number, share="flood")) for number in range(1000)]
    await until(queue.statistics, lambda seen: seen.puts_waiting >= 399)
    quiet = asyncio.create_task(queue.put(-1, share="quiet"))
    await until(queue.shares, lambda seen: any(each.share == "quiet" and each.puts_waiting for each in seen))
    assert (await queue.statistics()).puts_waiting <= 401
    for _ in range(3):
        await (await take(queue)).ack()
    async with asyncio.timeout(20):
        await quiet
    flood.cancel()
    for each in more:
        each.cancel()
    await asyncio.gather(flood, *more, return_exceptions=True)
    await drained(queue)
    await at_rest(queue)


async def test_what_waits_in_a_process_goes_round_robin(session: Session, name: str) -> None:
    """Many flows, more of each than has places; all go in, each in its own order."""
    queue = Queue(session, name, int, maxsize=5)
    flows = 30
    tasks = [
        asyncio.create_task(queue.put(number, share=str(number % flows), priority=Priority(number % 3)))
        for number in range(700)
    ]
    await until(queue.statistics, lambda seen: seen.puts_waiting >= 390)
    seen: list[int] = []
    while len(seen) < 700:
        delivery = await take(queue)
        seen.append(delivery.item)
        await delivery.ack()
    await asyncio.gather(*tasks)
    assert sorted(seen) == list(range(700))
    for flow in range(flows):
        for priority in Priority:
            of_flow = [item for item in seen if item % flows == flow and item % 3 == priority]
            assert of_flow == sorted(of_flow)
    await at_rest(queue)


async def test_none_that_may_not_wait_is_kept_back(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=1)
    await queue.put(0, share="a")
    waiting = [asyncio.create_task(queue.put(number, share="a")) for number in range(900)]
    await until(queue.statistics, lambda seen: seen.puts_waiting == 400)
    for share in ("a", "b", None):
        with pytest.raises(QueueFull):
            async with asyncio.timeout(20):
                await queue.put_nowait(7, share=share)
    assert inside.unsent_at(queue) == 500
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert inside.unsent_at(queue) == 0
    assert await drained(queue) == [0]
    await at_rest(queue)


async def test_what_is_withdrawn_after_it_was_sent_is_not_counted_again() -> None:
    """Beside one of the default flow that was withdrawn, and has kept its place."""
    level, number = Level("q"), Numbering("abcdefghijkl")
    level.wanted = 1
    turns = Turns(level)

    def add(share: str | None) -> Batch:
        middle = pack_middle(with_flow(b"", pack_flow(Way(share=share))), has_id=False)
        batch = Batch([number.entry(middle, b"1")], asyncio.get_running_loop().create_future(), may_wait=True)
        turns.add(batch)
        return batch

    def withdraw(batch: Batch) -> None:
        batch.withdrawn = True
        turns.give_up(batch)

    _, _, last = add("a"), add(None), add(None)
    withdraw(last)
    assert len(turns.take(1 << 20, 0, {})) == 2
    again = add("b")
    assert [entry.batch for entry in turns.take(1 << 20, 0, {})] == [again]
    withdraw(again)
    assert len(turns) == 0
