"""Whose body is left: one that is left in another task gives back its own lease, and no other worker's."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Lease, LeaseLost, Lock, Semaphore, Session
from tests.instruments import inside
from tests.instruments.lease_waiters import forget
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


async def entering(permits: Semaphore) -> AsyncIterator[Lease]:
    async with permits as lease:
        yield lease


@pytest.mark.parametrize("is_over", [True, False])
async def test_a_generator_closed_in_another_task_gives_back_its_own_lease(
    session: Session, name: str, *, is_over: bool
) -> None:
    permits = Semaphore(session, name, 5)
    generator: Any = entering(permits)
    begun, may_end = asyncio.Event(), asyncio.Event()
    entered: list[Lease] = []

    async def enter() -> None:
        entered.append(await anext(generator))
        begun.set()
        if not is_over:
            await may_end.wait()

    entering_task = asyncio.create_task(enter())
    await (entering_task if is_over else begun.wait())
    inside_task: asyncio.Event = asyncio.Event()

    async def work() -> None:
        async with permits as lease:
            inside_task.set()
            await may_end.wait()
            lease.check()

    worker = asyncio.create_task(work())
    await inside_task.wait()
    await generator.aclose()
    assert inside.has_ended(entered[0])
    assert len((await permits.statistics()).holders) == 1
    may_end.set()
    await worker
    await entering_task
    assert (await permits.statistics()).holders == ()


async def test_an_abandoned_generator_gives_back_its_own_lease_when_it_is_collected(
    session: Session, name: str
) -> None:
    permits = Semaphore(session, name, 5)

    async def abandon() -> Lease:
        return await anext(entering(permits))

    async with permits as own:
        abandoned = await asyncio.create_task(abandon())

        async def is_over() -> bool:
            gc.collect()
            return inside.has_ended(abandoned)

        await until(is_over, bool)
        own.check()
    assert (await permits.statistics()).holders == ()


async def test_a_task_that_left_its_body_elsewhere_is_not_cancelled_by_a_later_loss(
    client: Redis, session: Session, name: str
) -> None:
    permits = Semaphore(session, name, 5)
    generator: Any = entering(permits)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def enter() -> str:
        await anext(generator)
        begun.set()
        await may_end.wait()
        return "undisturbed"

    task = asyncio.create_task(enter())
    await begun.wait()
    with pytest.raises(LeaseLost):
        async with permits:
            await generator.aclose()
            await forget(client, session, name)
            await asyncio.Event().wait()
    may_end.set()
    assert await task == "undisturbed"


async def test_an_exit_stack_is_left_in_another_task_where_only_one_is_inside(session: Session, name: str) -> None:
    permits, stack = Semaphore(session, name, 5), AsyncExitStack()
    await asyncio.create_task(stack.enter_async_context(permits))
    async with permits as own:
        await asyncio.create_task(stack.aclose())  # of a task that is over
        own.check()
    assert (await permits.statistics()).holders == ()


async def test_leaving_an_exit_stack_where_several_other_tasks_are_inside_is_ambiguous(
    session: Session, name: str
) -> None:
    permits = Semaphore(session, name, 5)
    may_end = asyncio.Event()

    async def work(begun: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            lease = await stack.enter_async_context(permits)
            begun.set()
            await may_end.wait()
            lease.check()

    events = [asyncio.Event() for _ in range(2)]
    workers = [asyncio.create_task(work(event)) for event in events]
    for event in events:
        await event.wait()
    with pytest.raises(RuntimeError, match="ambiguous"):
        await permits.__aexit__(None, None, None)
    may_end.set()
    await asyncio.gather(*workers)
    assert (await permits.statistics()).holders == ()


async def test_leaving_what_nobody_entered_is_a_runtime_error(session: Session, name: str) -> None:
    lock = Lock(session, name)
    with pytest.raises(RuntimeError):
        await lock.__aexit__(None, None, None)
