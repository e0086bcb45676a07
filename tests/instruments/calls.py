"""Every public call of a queue, with what has to come before it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from shared.concurrency import Delivery, Queue, QueueEmpty, QueueFull, QueueShutDown, Session
from shared.concurrency.queues.service import notified_to_drain
from tests.instruments import inside
from tests.instruments.census import Census, take_census
from tests.instruments.inside import is_held
from tests.instruments.waiting import until


@dataclass
class World:
    """A queue whose connection may break, and the same queue seen past the proxy."""

    queue: Queue[int]
    other: Queue[int]
    client: Redis
    tasks: list[asyncio.Future[Any]] = field(default_factory=list)
    held: list[Delivery[int]] = field(default_factory=list)

    async def census(self) -> Census:
        return await take_census(self.client, self.queue.name)


@contextlib.asynccontextmanager
async def opened(url: str, broken_url: str, client: Redis, name: str) -> AsyncIterator[World]:
    """A queue with a bound of 4 and 2 attempts, reached by two addresses; what is left over is settled at the end."""
    async with Session.open(url) as past, Session.open(broken_url) as session:
        there = World(Queue(session, name, int, maxsize=4, max_attempts=2), Queue(past, name, int), client)
        await there.other.resize(4)
        await there.queue.statistics()  # registered
        yield there
        for task in there.tasks:
            task.cancel()
        if there.tasks:
            await asyncio.wait(there.tasks)
        for delivery in there.held:
            if is_held(delivery):
                await delivery.ack()


PAUSED: Final = -1
"""Stands before the items that are left when the queue is paused."""


async def items_left(world: World) -> list[int]:
    """All that is still in the queue: taken by the other session, in order; a pause is ended for it."""
    items = [PAUSED] * (await world.other.statistics()).is_paused
    await world.other.resume()
    with contextlib.suppress(QueueEmpty, QueueShutDown):
        while True:
            async with await world.other.get_nowait() as item:
                items.append(item)
    return items


async def nothing(_: World) -> None:
    pass


async def three_pending(world: World) -> None:
    await world.other.put_many([1, 2, 3])


async def full(world: World) -> None:
    await world.other.put_many([1, 2, 3, 4])


async def two_of_a_key(world: World) -> None:
    """One stands behind the other, and no more may."""
    await world.other.put_many([1, 2], key="k")


async def one_of_a_key_held(world: World) -> None:
    await two_of_a_key(world)
    world.held.append(await world.queue.get())


async def one_held(world: World) -> None:
    await three_pending(world)
    world.held.append(await world.queue.get())


async def one_dead(world: World) -> None:
    await three_pending(world)
    await (await world.other.get()).dead_letter("a test")


async def shut(world: World) -> None:
    await three_pending(world)
    await world.other.shutdown()


async def one_known(world: World) -> None:
    await world.other.put(1, id="one")


async def one_known_held(world: World) -> None:
    """The other session holds it."""
    await one_known(world)
    world.held.append(await world.other.get())


async def one_waiting(world: World) -> None:
    """A put of the other session waits for room."""
    await full(world)
    waiting = asyncio.create_task(world.other.put(7, id="seven"))
    waiting.add_done_callback(lambda put: put.cancelled() or put.exception())
    world.tasks.append(waiting)
    await until(world.other.statistics, lambda statistics: statistics.puts_waiting == 1)


async def paused(world: World) -> None:
    await three_pending(world)
    await world.other.pause()


async def one_consumer(world: World) -> None:
    """The other session is a consumer service's."""
    world.tasks.append(asyncio.create_task(notified_to_drain(world.other)))
    await asyncio.sleep(0)
    await world.other.statistics()  # known as such from now on
    assert [session.is_consumer for session in await world.other.sessions()].count(True) == 1


async def cancel(world: World) -> str:
    return (await world.queue.cancel("one", timeout=0)).value


async def cancel_and_wait(world: World) -> str:
    """Of what the other session holds, which stops it."""
    return (await world.queue.cancel("one")).value


async def cancel_waiting(world: World) -> str:
    return (await world.queue.cancel("seven")).value


async def put(world: World) -> None:
    await world.queue.put(7)


async def put_with_id(world: World) -> None:
    await world.queue.put(7, id="seven")


async def put_unique(world: World) -> None:
    await world.queue.put_unique(7, "seven")


async def put_unique_that_replaces(world: World) -> None:
    await world.queue.put_unique(1, "seven")
    await world.queue.put_unique(7, "seven", replace=True)


async def put_nowait(world: World) -> None:
    await world.queue.put_nowait(7)


async def put_nowait_full(world: World) -> str:
    try:
        await world.queue.put_nowait(7)
    except QueueFull:
        return "full"
    return "in"


async def put_many(world: World) -> None:
    # More than there is room for: some wait in line, and go in as the other session takes.
    taking = asyncio.create_task(take_until(world, 20))
    world.tasks.append(taking)
    await world.queue.put_many(range(1, 21))
    world.held.clear()
    assert await taking == list(range(1, 21))


async def take_until(world: World, last: int) -> list[int]:
    items = [0]
    while items[-1] != last:
        async with await world.other.get() as item:
            items.append(item)
    return items[1:]


async def put_that_waits(world: World) -> list[int]:
    waiting = asyncio.create_task(world.queue.put(7))
    world.tasks.append(waiting)
    # In line, and kept there whatever happens to the connection, until there is room.
    await until(world.other.statistics, lambda statistics: statistics.puts_waiting == 1)
    taken = await take_until(world, 1)
    async with asyncio.timeout(40):
        await waiting
    return taken


async def put_that_waits_for_its_key(world: World) -> list[int]:
    waiting = asyncio.create_task(world.queue.put(7, key="k"))
    world.tasks.append(waiting)
    await until(world.other.statistics, lambda statistics: statistics.puts_waiting == 1)
    taken = await take_until(world, 1)
    async with asyncio.timeout(40):
        await waiting
    return taken


async def put_withdrawn(world: World) -> None:
    waiting = asyncio.create_task(world.queue.put(7))
    world.tasks.append(waiting)
    await until(world.other.statistics, lambda statistics: statistics.puts_waiting == 1)
    waiting.cancel()
    await asyncio.wait({waiting})


async def submit(world: World) -> object:
    """Submit and wait for the result, which the other session answers."""
    future = await world.queue.submit(7)
    answering = asyncio.create_task(answer_one(world))
    world.tasks.append(answering)
    async with asyncio.timeout(40):
        return await future


async def submit_with_id(world: World) -> object:
    """The same, and once more under its id."""
    future = await world.queue.submit(7, id="seven")
    again = await world.queue.submit(7, id="seven")
    answering = asyncio.create_task(answer_one(world))
    world.tasks.append(answering)
    async with asyncio.timeout(40):
        return await asyncio.gather(*[future, again])


async def answer_one(world: World) -> None:
    """The other session answers with ten times the number."""
    delivery = await world.other.get()
    await delivery.ack(result=delivery.item * 10)


async def submit_given_up(world: World) -> int:
    """Submit, cancel the future, and wait until the server knows; whether a result is kept."""
    future = await world.queue.submit(7)
    future.cancel()
    await asyncio.sleep(0)
    async with asyncio.timeout(40):
        await inside.results_flushed(world.queue)
    return len(await items_left(world))


async def one_asked(world: World) -> None:
    """The session holds a message that the other one has submitted."""
    world.tasks.append(asyncio.ensure_future(await world.other.submit(1)))
    await world.other.put_many([2, 3])
    world.held.append(await world.queue.get())


async def ack_with_result(world: World) -> object:
    await world.held[0].ack(result="done")
    return await answered(world)


async def ack_with_result_and_effects(world: World) -> object:
    _collect(world, world.held[0])
    await world.held[0].ack(result="done")
    return await answered(world)


async def answered(world: World) -> object:
    """What the other session had as the result of its message."""
    async with asyncio.timeout(40):
        return await world.tasks[0]


async def tell_progress(world: World) -> None:
    await world.held[0].progress(0.5, "half")
    await inside.progress_sent(world.queue)


async def get(world: World) -> int:
    delivery = await world.queue.get()
    await delivery.ack()
    return delivery.item


async def get_nowait(world: World) -> int:
    delivery = await world.queue.get_nowait()
    await delivery.ack()
    return delivery.item


async def get_that_waits(world: World) -> int:
    getting = asyncio.create_task(world.queue.get())
    world.tasks.append(getting)
    await asyncio.sleep(0)
    await world.other.put(7)
    async with asyncio.timeout(40):
        delivery = await getting
    await delivery.ack()
    return delivery.item


async def ack(world: World) -> None:
    await world.held[0].ack()


def following(world: World) -> Queue[int]:
    """Where effects are put to: there is room for one."""
    return Queue(inside.session_of(world.queue), f"{world.queue.name}-2", int, maxsize=1)


async def ack_with_effects(world: World) -> None:
    """Two numbers and two messages: the second of these waits in line there."""
    delivery = world.held[0]
    _collect(world, delivery)
    await delivery.ack()


async def body_with_effects(world: World) -> None:
    async with world.held[0]:
        _collect(world, world.held[0])


def _collect(world: World, delivery: Delivery[int]) -> None:
    if delivery.effects:
        return
    key = f"{{{world.queue.name}}}:effects"
    for word in ("a", "b"):
        delivery.effects.hincrby(key, word, 10)
    for item in (1, 2):
        delivery.effects.put(following(world), item)


async def effects_made(world: World) -> int:
    """How often the effects were made; AssertionError when only some of them were."""
    # On a Cluster the two queues would share a group; here they do not have to.
    asked: Any = world.client.hgetall(f"{{{world.queue.name}}}:effects")
    fields = await asked
    there = Queue(inside.session_of(world.other), f"{world.queue.name}-2", int)
    items = []
    with contextlib.suppress(QueueEmpty):
        while True:
            async with await there.get_nowait() as item:
                items.append(item)
    times = len(items) // 2
    assert items == [1, 2] * times
    assert fields == ({b"a": b"%d" % (10 * times), b"b": b"%d" % (10 * times)} if times else {})
    (await take_census(world.client, there.name)).check()
    return times


async def nack(world: World) -> None:
    await world.held[0].nack()


async def nack_that_lets_others_pass(world: World) -> None:
    await world.held[0].nack(hold_key=False)


async def nack_later(world: World) -> None:
    await world.held[0].nack(delay=60)


async def dead_letter(world: World) -> None:
    await world.held[0].dead_letter("unwanted")


async def body(world: World) -> None:
    async with world.held[0]:
        pass


async def failing_body(world: World) -> None:
    with contextlib.suppress(KeyError):
        async with world.held[0]:
            raise KeyError


async def join(world: World) -> None:
    emptying = asyncio.create_task(take_until(world, 3))
    world.tasks.append(emptying)
    async with asyncio.timeout(40):
        await world.queue.join()
