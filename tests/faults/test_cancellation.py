"""Cancellation at every point where any public coroutine waits: the queue adds up, and nothing is left behind.

Each call is cancelled at its 1st, 2nd, 3rd... point, in three modes (see the instrument), until it ends unhurt.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from consumer.outcomes import Reject, Retry
from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, Session
from shared.concurrency.queues.service import notified_to_drain
from tests.instruments import calls, inside
from tests.instruments.calls import PAUSED, World, items_left
from tests.instruments.cancellation import MODES, Mode, Outcome, at_every_point, cancelled_at
from tests.instruments.census import take_census
from tests.instruments.inside import is_held
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True)
class Case:
    """One public call, and what may be left of the queue when it was cancelled: everything else is a defect."""

    prepare: Callable[[World], Awaitable[None]]
    call: Callable[[World], Coroutine[Any, Any, Any]]
    may_leave: tuple[tuple[int, ...], ...]
    """Items that the other session may find, in order."""
    meanwhile: Callable[[World], Awaitable[None]] | None = None
    """What goes on at the same time, so that a waiting call comes to its end."""


async def put_meanwhile(world: World) -> None:
    """Have the get that waits find something, whenever it is cancelled."""
    await world.other.put(7)


async def take_one_meanwhile(world: World) -> None:
    """Make room for the put that waits."""
    async with await world.other.get():
        pass


async def finish_meanwhile(world: World) -> None:
    """Have join return."""
    for _ in range(3):
        await take_one_meanwhile(world)


async def drain_meanwhile(world: World) -> None:
    """Tell the consumer that waits to be told, once it is known as one."""
    while not await world.other.drain():
        await world.queue.statistics()


async def submit(world: World) -> None:
    world.tasks.append(await world.queue.submit(7))


async def submit_and_wait(world: World) -> None:
    """Whether it is answered or given up, it is not left."""
    assert await (await world.queue.submit(7)) == 70


async def answer_meanwhile(world: World) -> None:
    """Answer what has not been given up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await calls.answer_one(world)


async def submit_with_id(world: World) -> None:
    world.tasks.append(await world.queue.submit(7, id="seven"))


async def get(world: World) -> None:
    world.held.append(await world.queue.get())


async def get_many(world: World) -> None:
    world.held.extend(await world.queue.get_many(2, within=5))


async def with_batch(world: World) -> None:
    async with await world.queue.get_many(2, within=5):
        await asyncio.sleep(0)


async def get_nowait(world: World) -> None:
    world.held.append(await world.queue.get_nowait())


async def take_next(world: World) -> None:
    world.held.append(await anext(world.queue))


async def with_body(world: World) -> None:
    async with world.held[0]:
        await asyncio.sleep(0)


async def with_failing_body(world: World) -> None:
    with contextlib.suppress(KeyError):
        async with world.held[0]:
            await asyncio.sleep(0)
            raise KeyError


async def take_two_meanwhile(world: World) -> None:
    """Make room for the last two of put_many."""
    for _ in range(2):
        await take_one_meanwhile(world)


def four(world: World) -> Coroutine[Any, Any, None]:
    return world.queue.put_many(range(1, 5))


def six(world: World) -> Coroutine[Any, Any, None]:
    return world.queue.put_many(range(1, 7))


PARTS_OF_SIX: Final = tuple(tuple(range(taken + 1, let_in + 1)) for let_in in (0, 4, 5, 6) for taken in range(3))


PENDING: Final = (1, 2, 3)
CASES: Final[dict[str, Case]] = {
    "put": Case(calls.nothing, calls.put, ((), (7,))),
    "put with id": Case(calls.nothing, calls.put_with_id, ((), (7,))),
    "put that waits": Case(calls.full, calls.put, ((2, 3, 4), (2, 3, 4, 7)), take_one_meanwhile),
    "put_unique": Case(calls.nothing, calls.put_unique, ((), (7,))),
    "put_unique that replaces": Case(calls.nothing, calls.put_unique_that_replaces, ((), (1,), (7,))),
    "put_nowait": Case(calls.nothing, calls.put_nowait, ((), (7,))),
    "put_many": Case(calls.nothing, four, ((), (1, 2, 3, 4))),
    "put_many that waits": Case(calls.nothing, six, PARTS_OF_SIX, take_two_meanwhile),
    "submit": Case(calls.nothing, submit, ((), (7,))),
    "submit with id": Case(calls.nothing, submit_with_id, ((), (7,))),
    "submit that waits": Case(calls.full, submit, ((2, 3, 4), (2, 3, 4, 7)), take_one_meanwhile),
    "submit, awaited": Case(calls.nothing, submit_and_wait, ((),), answer_meanwhile),
    "ack with result": Case(calls.one_asked, calls.ack_with_result, ((2, 3),)),
    "ack, result, effects": Case(calls.one_asked, calls.ack_with_result_and_effects, ((2, 3),)),
    "progress": Case(calls.one_asked, calls.tell_progress, ((2, 3),)),
    "get": Case(calls.three_pending, get, (PENDING, (2, 3))),
    "get_many": Case(calls.three_pending, get_many, (PENDING, (3,))),
    "get_many, a body": Case(calls.three_pending, with_batch, (PENDING, (3,))),
    "get that waits": Case(calls.nothing, get, ((7,), ()), put_meanwhile),
    "async for": Case(calls.three_pending, take_next, (PENDING, (2, 3))),
    "get_nowait": Case(calls.three_pending, get_nowait, (PENDING, (2, 3))),
    "ack": Case(calls.one_held, calls.ack, ((2, 3),)),
    "ack with effects": Case(calls.one_held, calls.ack_with_effects, ((2, 3),)),
    "async with, effects": Case(calls.one_held, calls.body_with_effects, (PENDING, (2, 3))),
    "nack": Case(calls.one_held, calls.nack, (PENDING,)),
    "nack with delay": Case(calls.one_held, calls.nack_later, ((2, 3),)),
    "dead_letter": Case(calls.one_held, calls.dead_letter, ((2, 3),)),
    "async with": Case(calls.one_held, with_body, (PENDING, (2, 3))),
    "async with, failing": Case(calls.one_held, with_failing_body, (PENDING,)),
    "qsize": Case(calls.three_pending, lambda world: world.queue.qsize(), (PENDING,)),
    "statistics": Case(calls.three_pending, lambda world: world.queue.statistics(), (PENDING,)),
    "join": Case(calls.three_pending, lambda world: world.queue.join(), ((),), finish_meanwhile),
    "resize": Case(calls.three_pending, lambda world: world.queue.resize(9), (PENDING,)),
    "pause": Case(calls.three_pending, lambda world: world.queue.pause(), (PENDING, (PAUSED, *PENDING))),
    "resume": Case(calls.paused, lambda world: world.queue.resume(), ((PAUSED, *PENDING), PENDING)),
    "cancel": Case(calls.one_known, calls.cancel, ((1,), ())),
    "cancel what is held": Case(calls.one_known_held, calls.cancel_and_wait, ((1,), ())),
    "forget": Case(calls.one_known, lambda world: world.queue.forget("one"), ((1,),)),
    "sessions": Case(calls.three_pending, lambda world: world.queue.sessions(), (PENDING,)),
    "drain": Case(calls.one_consumer, lambda world: world.queue.drain(), ((),)),
    "notified_to_drain": Case(calls.nothing, lambda world: notified_to_drain(world.queue), ((),), drain_meanwhile),
    "shutdown": Case(calls.three_pending, lambda world: world.queue.shutdown(), (PENDING,)),
    "shutdown at once": Case(calls.three_pending, lambda world: world.queue.shutdown(immediate=True), (PENDING, ())),
    "reopen": Case(calls.shut, lambda world: world.queue.reopen(), (PENDING,)),
    "dead_letters": Case(calls.one_dead, lambda world: world.queue.dead_letters(), ((2, 3),)),
    "replay": Case(calls.one_dead, lambda world: world.queue.replay(), ((2, 3), (2, 3, 1))),
    "discard": Case(calls.one_dead, lambda world: world.queue.discard(), ((2, 3),)),
}


@pytest.mark.parametrize("what", CASES)
async def test_a_call_may_be_cancelled_wherever_it_waits(url: str, client: Redis, name: str, what: str) -> None:
    case = CASES[what]

    async def attempt(point: int, mode: Mode) -> Outcome[Any]:
        async with calls.opened(url, url, client, f"{name}-{mode}-{point}") as world:
            await case.prepare(world)
            run = asyncio.create_task(cancelled_at(point, mode, case.call(world)))
            if case.meanwhile is not None:
                await asyncio.wait({run}, timeout=0.003)
                await meanwhile(world, case.meanwhile, run)
            outcome = await run
            await settled(world)
            left = tuple(await items_left(world))
            assert left in case.may_leave, f"{mode} at {point}: {left}"
            if "effects" in what:
                assert await calls.effects_made(world) == (left == (2, 3))
            # Nobody has the future of what was submitted: it is given up, though it was in the queue.
            assert not (what.startswith("submit") and outcome.cancelled) or left == case.may_leave[0]
            # What was not cancelled happened, all of it.
            assert outcome.hit or left == case.may_leave[-1]
            await usable(world)
        return outcome

    assert {mode async for _, mode, _ in at_every_point(attempt)} == set(MODES)


async def meanwhile(world: World, act: Callable[[World], Awaitable[None]], run: "asyncio.Task[Any]") -> None:
    acting = asyncio.ensure_future(act(world))
    world.tasks.append(acting)
    await asyncio.wait({acting, run}, return_when=asyncio.ALL_COMPLETED, timeout=0.5 if run.done() else None)
    acting.cancel()
    await asyncio.wait({acting})


async def settled(world: World) -> None:
    """Settle what the call got, and wait until nobody holds anything; the numbers must add up then."""
    for delivery in world.held:
        if is_held(delivery):
            await delivery.ack()
    await inside.results_flushed(world.queue)
    census = await until(world.census, lambda census: census.leased == 0 and census.line == 0)
    census.check()


async def usable(world: World) -> None:
    """The session goes on as if nothing had been cancelled."""
    await world.other.reopen()
    await world.queue.put(99)
    async with await world.queue.get() as item:
        assert item == 99


@pytest.mark.parametrize("mode", MODES)
async def test_opening_a_session_may_be_cancelled_wherever_it_waits(
    url: str, client: Redis, name: str, mode: Mode
) -> None:
    async def use() -> None:
        async with Session.open(url) as session:
            queue = Queue(session, name, int)
            await queue.put(1)
            delivery = await queue.get()
            await delivery.ack()

    connections = len(await client.client_list())

    async def attempt(point: int, mode: Mode) -> Outcome[Any]:
        before = asyncio.all_tasks()
        outcome = await cancelled_at(point, mode, use())
        await asyncio.sleep(0)
        assert asyncio.all_tasks() <= before
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("weir")]
        census = await take_census(client, name)
        census.check()
        assert (census.leased, census.line, census.sessions) == (0, 0, 0)
        return outcome

    points = [point async for point, _, _ in at_every_point(attempt, (mode,))]
    assert len(points) >= 4

    async def count() -> int:
        return len(await client.client_list())

    await until(count, lambda count: count <= connections)


async def test_a_worker_may_be_cancelled_wherever_it_waits(url: str, client: Redis, name: str) -> None:
    async def attempt(point: int, mode: Mode) -> Outcome[None]:
        async with calls.opened(url, url, client, f"{name}-{mode}-{point}") as world:
            await world.queue.resize(0)
            await world.other.put_many(range(30))

            async def handle(delivery: Delivery[int]) -> None:
                await asyncio.sleep(0)
                if delivery.item == 29:
                    worker.drain()

            worker = Worker(world.queue, handle, concurrency=4)
            outcome = await cancelled_at(point, mode, worker.run())
            await settled(world)
            statistics = await world.other.statistics()
            # What was in the hands of a handler went back; what had been handled is done with.
            assert statistics.acked_total + len(await items_left(world)) == 30
        return outcome

    assert {mode async for _, mode, _ in at_every_point(attempt)} == set(MODES)


async def test_a_worker_whose_handlers_fail_may_be_cancelled_wherever_it_waits(
    url: str, client: Redis, name: str
) -> None:
    async def attempt(point: int, mode: Mode) -> Outcome[None]:
        async with calls.opened(url, url, client, f"{name}-{mode}-{point}") as world:
            await world.queue.resize(0)
            await world.other.put_many(range(12))

            async def handle(delivery: Delivery[int]) -> None:
                await asyncio.sleep(0)
                if delivery.item == 11:
                    worker.drain()
                if delivery.item % 3 == 0:
                    raise Retry(after=60)
                if delivery.item % 3 == 1:
                    raise Reject("unwanted")

            worker = Worker(world.queue, handle, concurrency=2)
            outcome = await cancelled_at(point, mode, worker.run())
            await settled(world)
            statistics = await world.other.statistics()
            # Each is dead, waits for its next attempt, is done with, or was given back: nothing is there twice.
            assert statistics.dead == statistics.dead_total
            assert statistics.nacked_total <= statistics.delayed
            left = len(await items_left(world)) + statistics.nacked_total
            assert statistics.acked_total + statistics.dead + left == 12
        return outcome

    assert {mode async for _, mode, _ in at_every_point(attempt)} == set(MODES)
