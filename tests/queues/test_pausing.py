"""A queue that is paused hands out nothing, in any process; all else goes on, and resume wakes who waits."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, QueueEmpty, QueueShutDown, Session
from tests.instruments import inside, programs
from tests.instruments.census import take_census
from tests.instruments.processes import running
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

TTL = 1.0

pytestmark = pytest.mark.session_ttl(TTL)


@pytest.fixture
async def queue(session: Session, name: str) -> Queue[int]:
    return Queue(session, name, int, maxsize=5)


@pytest.fixture
async def theirs(other: Session, name: str) -> Queue[int]:
    """The queue in another session."""
    return Queue(other, name, int)


async def test_nothing_is_handed_out_puts_go_in_and_what_is_held_is_settled(
    queue: Queue[int], theirs: Queue[int]
) -> None:
    await queue.put_many([1, 2, 3])
    failing, done = await queue.get(), await queue.get()
    await queue.pause()
    await queue.pause()
    assert (await theirs.statistics()).is_paused
    with pytest.raises(QueueEmpty):
        await theirs.get_nowait()
    await done.ack()
    await failing.nack()
    await theirs.put_many([4, 5, 6])
    waiting = asyncio.create_task(theirs.put(7))
    statistics = await until(queue.statistics, lambda statistics: statistics.puts_waiting == 1)
    assert (statistics.pending, statistics.delayed, statistics.leased, statistics.acked_total) == (4, 1, 0, 1)
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    await queue.resize(6)
    await waiting
    await theirs.resume()
    await theirs.resume()
    assert not (await queue.statistics()).is_paused
    items = [await queue.get() for _ in range(6)]
    assert [delivery.item for delivery in items] == [1, 3, 4, 5, 6, 7]
    for delivery in items:
        await delivery.ack()


@pytest.mark.usefixtures("only_notified")
async def test_resume_wakes_all_who_wait(queue: Queue[int], theirs: Queue[int]) -> None:
    await queue.pause()
    gets = [asyncio.create_task(each.get()) for each in (queue, theirs, queue, theirs)]
    await theirs.put_many([1, 2, 3, 4])
    # They have asked, found the pause, and wait to be woken.
    await until(idle(queue), lambda count: count == 2)
    assert (await queue.statistics()).pending == 4
    await queue.resume()
    async with asyncio.timeout(100):
        deliveries = await asyncio.gather(*gets)
    assert sorted(delivery.item for delivery in deliveries) == [1, 2, 3, 4]
    for delivery in deliveries:
        await delivery.ack()


def idle(queue: Queue[int]) -> Callable[[], Awaitable[int]]:
    """How many sessions wait to be woken."""

    async def count() -> int:
        found: int = await inside.command_at(queue, "ZCARD", f"{{{queue.name}}}:idle")
        return found

    return count


async def rests(observer: Queue[int], queue: Queue[int]) -> bool:
    """Whether the server would hand the queue's session the next message in the put itself."""
    handed = await inside.command_at(observer, "HGET", f"{{{queue.name}}}:handed", inside.session_id_at(queue))
    return bool(handed == b"")


@pytest.mark.usefixtures("only_notified")
async def test_a_put_hands_nothing_to_a_worker_that_waits(queue: Queue[int], theirs: Queue[int]) -> None:
    handled: asyncio.Queue[int] = asyncio.Queue()

    async def handle(delivery: Delivery[int]) -> None:
        handled.put_nowait(delivery.item)

    worker = Worker(queue, handle, concurrency=2)
    working = asyncio.create_task(worker.run())
    # Only a session that rests is handed anything; one whose worker was not back when it asked, after the next.
    while not await rests(theirs, queue):
        await theirs.put(0)
        assert await handled.get() == 0
        with contextlib.suppress(AssertionError):
            await until(lambda: rests(theirs, queue), bool, 0.5)
    await theirs.pause()
    await theirs.put(1)
    # It would be leased by now: the put itself hands over.
    assert (await theirs.statistics()).pending == 1
    assert await idle(queue)() == 1, "and nobody is woken for nothing"
    await theirs.resume()
    async with asyncio.timeout(100):
        assert await handled.get() == 1
    worker.drain()
    await working


@pytest.mark.usefixtures("only_notified")
async def test_who_waits_at_a_paused_queue_does_not_hurry(proxy: Proxy, theirs: Queue[int]) -> None:
    await theirs.put_many([1, 2, 3])
    await (await theirs.get()).nack()
    await (await theirs.get()).nack(delay=0.01)
    await theirs.pause()
    async with Session.open(proxy.url) as session:
        getting = asyncio.create_task(Queue(session, theirs.name, int).get())
        await until(idle(theirs), lambda count: count == 1)
        before = proxy.count("settle_and_take")
        for number in range(10):
            await theirs.put(number)
        # It looks again when its look of insurance is due, though there is work, a delay has ended, and more is put.
        await asyncio.wait({getting}, timeout=0.9)
        assert proxy.count("settle_and_take") <= before + 1
        await theirs.resume()
        async with asyncio.timeout(100), await getting as item:
            assert item in {1, 2}


async def test_recovery_goes_on_and_a_killed_consumer_that_waited_takes_nothing_along(
    url: str, name: str, queue: Queue[int]
) -> None:
    await queue.put_many([1, 2, 3, 4])
    async with running(programs.hold, url, name, TTL, 2) as holding:
        await holding.said("got", 2)
        async with running(programs.consume, url, name, TTL) as waiting:
            await waiting.said("acked", 2)
            await queue.pause()
            await queue.put(5)
            await until(idle(queue), lambda count: count == 1)
            await holding.kill()
            await waiting.kill()
    getting = asyncio.create_task(queue.get())
    statistics = await until(queue.statistics, lambda statistics: statistics.recovered_total == 2)
    assert (statistics.leased, statistics.delayed, statistics.pending) == (0, 2, 1)
    assert not getting.done()
    await queue.resume()
    deliveries = [await getting, await queue.get(), await queue.get()]
    assert max(delivery.item for delivery in deliveries) == 5
    for delivery in deliveries:
        await delivery.ack()
    assert (await queue.statistics()).acked_total == 5


async def test_a_pause_holds_up_a_shutdown_and_a_join(queue: Queue[int]) -> None:
    await queue.put(1)
    await queue.pause()
    await queue.shutdown()
    joining, getting = asyncio.create_task(queue.join()), asyncio.create_task(queue.get())
    await until(idle(queue), lambda count: count == 1)
    assert not joining.done()
    assert not getting.done()
    await queue.resume()
    async with await getting as item:
        assert item == 1
    await joining
    with pytest.raises(QueueShutDown):
        await queue.get()


async def test_an_immediate_shutdown_ends_though_the_queue_is_paused(queue: Queue[int]) -> None:
    await queue.put(1)
    await queue.pause()
    await queue.shutdown(immediate=True)
    await queue.join()
    with pytest.raises(QueueShutDown):
        await queue.get()
    assert (await queue.statistics()).dead == 1


async def test_a_pause_leaves_the_books_in_order(url: str, name: str, queue: Queue[int]) -> None:
    """Consumers are killed and the queue is paused and resumed meanwhile: all that was put is handled."""
    async with Redis.from_url(url, protocol=3) as client:
        await queue.resize(0)
        await queue.put_many(range(250))
        # The second one starts behind the first pauses: it would take all before the first had its share.
        async with running(programs.consume, url, name, TTL) as doomed, AsyncExitStack() as stack:
            for times in (5, 10, 15):
                await doomed.said("got", times)
                await queue.pause()
                (await take_census(client, name)).check()
                await queue.resume()
            other = await stack.enter_async_context(running(programs.consume, url, name, TTL))
            await other.said("ready")
            await queue.pause()
            await queue.put_many(range(250, 300))
            await doomed.kill()
            await queue.resume()
            async with asyncio.timeout(100):
                await queue.join()
            await queue.shutdown()
            await other.ended()
        got = set(doomed.reports("got")) | set(other.reports("got"))
        assert got == set(range(300))
        (await take_census(client, name)).check()
