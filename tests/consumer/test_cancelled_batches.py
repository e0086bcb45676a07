"""A message of a batch is cancelled: the others go on without it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from consumer.batches import Batch, Gather
from consumer.rules.rules import Rules
from consumer.worker.worker import Worker
from shared.concurrency import Cancellation, Delivery, MessageCancelled, Queue, RemoteError
from shared.concurrency.queues.deliveries.gathering import Company, Gathering
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.concurrency.queues.takes.pace import Pace
from tests.instruments import inside, workers
from tests.instruments.cancelling import at_rest, cancelling
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


class Held:
    """A handler that keeps its first batch until it may end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.batches: list[list[int]] = []
        self.cancelled: list[int] = []
        self.was_interrupted = False

    async def __call__(self, batch: Batch[int]) -> object:
        self.batches.append(batch.items)
        self.begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_interrupted = True
            raise
        self.cancelled = [delivery.item for delivery in batch if delivery.cancelled]
        return [delivery.item * 10 for delivery in batch]


async def _alone(delivery: Delivery[int]) -> None:
    raise AssertionError(f"handled by itself: {delivery}")


@asynccontextmanager
async def gathering(queue: Queue[int], held: Held, most: int, within: float) -> AsyncIterator[Worker[int]]:
    rules = {int: Rules(batch=Gather(most, within))}
    async with workers.working(queue, _alone, rules=rules, handle_batch=held, concurrency=1) as worker:
        yield worker


async def test_the_batch_goes_on_for_the_others(queue: Queue[int], client: Redis) -> None:
    held = Held()
    async with gathering(queue, held, 3, 3600), asyncio.timeout(100):
        futures = [await queue.submit(number, id=f"id-{number}") for number in range(3)]
        await held.begun.wait()
        waiting = await cancelling(queue, client, "id-1")
        assert not waiting.done(), "it is stopped when its batch ends"
        held.may_end.set()
        assert await waiting is Cancellation.STOPPED
        assert [await futures[0], await futures[2]] == [0, 20]
        with pytest.raises(RemoteError, match=r"^cancelled"):
            await futures[1]
    assert (held.batches, held.cancelled, held.was_interrupted) == ([[0, 1, 2]], [1], False)
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.nacked_total, statistics.cancelled_total) == (2, 0, 1)
    await at_rest(client, queue.name)


async def test_its_handler_is_stopped_once_nothing_of_it_is_wanted(queue: Queue[int], client: Redis) -> None:
    held = Held()
    async with gathering(queue, held, 2, 3600), asyncio.timeout(100):
        for number in range(2):
            await queue.put(number, id=f"id-{number}")
        await held.begun.wait()
        waiting = await cancelling(queue, client, "id-0")
        assert await queue.cancel("id-1") is Cancellation.STOPPED
        assert await waiting is Cancellation.STOPPED
        await queue.join()
        held.may_end.set()
        for number in range(2, 4):
            await queue.put(number)
        await queue.join()
    assert (held.batches, held.was_interrupted) == ([[0, 1], [2, 3]], True)
    assert (await queue.statistics()).cancelled_total == 2
    await at_rest(client, queue.name)


@pytest.mark.parametrize("count", [1, 2])
async def test_what_is_set_aside_for_a_batch_is_left_out(queue: Queue[int], client: Redis, count: int) -> None:
    held = Held()
    held.may_end.set()
    async with gathering(queue, held, 3, 3600) as worker, asyncio.timeout(100):
        for number in range(count):
            await queue.put(number, id=f"id-{number}")
        await until(queue.statistics, lambda seen: (seen.pending, seen.leased) == (0, count))
        await until(lambda: asyncio.sleep(0, _aside(worker)), lambda aside: aside == count)
        assert await queue.cancel("id-0") is Cancellation.STOPPED
        await queue.put_many(range(10, 14 - count))
        await queue.join()
    assert held.batches == [[*range(1, count), *range(10, 14 - count)]]
    await at_rest(client, queue.name)


def _aside(worker: Worker[int]) -> int:
    prefetch = worker._prefetch
    return 0 if prefetch is None else prefetch.pace.set_aside


async def test_what_is_due_and_waits_for_a_worker_is_left_out(queue: Queue[int]) -> None:
    settler = inside.settler_at(queue)
    await queue.put_many(range(4))
    handouts = [handout_of(await queue.get()) for _ in range(4)]
    gathering = Gathering[int]({int: Company(2, 3600, None)}, settler, Pace(1, [], [], []), lambda: None)
    for handout in handouts:
        gathering.add(handout)
    assert len(gathering.due) == 2
    for handout in handouts[:3]:
        gathering.withdraw(handout.receipt)
    assert gathering.take().items == [3]
    assert not gathering.due
    for handout in handouts:
        await handout.ack()


async def test_by_hand_the_batch_goes_on_too(queue: Queue[int], client: Redis) -> None:
    for number in range(3):
        await queue.put(number, id=f"id-{number}")
    async with await queue.get_many(3, within=0.01) as batch:
        waiting = await cancelling(queue, client, "id-1")
        await until(lambda: asyncio.sleep(0, batch[1].cancelled), bool)
    assert await waiting is Cancellation.STOPPED
    assert (await queue.statistics()).acked_total == 2
    for number in range(3, 5):
        await queue.put(number, id=f"id-{number}")
    waits = []
    with pytest.raises(MessageCancelled, match="all messages of the batch"):
        async with asyncio.timeout(40), await queue.get_many(2, within=0.01):
            waits.extend([asyncio.create_task(queue.cancel(f"id-{number}")) for number in range(3, 5)])
            await asyncio.Event().wait()
    assert await asyncio.gather(*waits) == [Cancellation.STOPPED] * 2
    await at_rest(client, queue.name)
