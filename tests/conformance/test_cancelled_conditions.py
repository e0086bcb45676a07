"""What a cancelled wait for a condition leaves behind: the lock, and no lost notification."""

import asyncio
import sys
from typing import Any

import pytest

from tests.conformance.primitives import KINDS, Primitives, done
from tests.instruments.waiting import until

since_3_13 = pytest.mark.parametrize(
    "some",
    [
        pytest.param(
            kind,
            marks=pytest.mark.skipif(
                kind == "asyncio" and sys.version_info < (3, 13),
                reason="asyncio.Condition does it from Python 3.13; ours is held against what it does there",
            ),
        )
        for kind in KINDS
    ],
    indirect=True,
)


class Items:
    """Consumers that wait under a condition for items."""

    def __init__(self, condition: Any) -> None:
        """None at first."""
        self.condition = condition
        self.count = 0

    async def consume(self) -> None:
        """Take items until there are fewer than none."""
        async with self.condition:
            while True:
                await self.condition.wait_for(lambda: self.count)
                if self.count < 0:
                    return
                self.count -= 1
                await done(self.condition.notify_all())


async def test_a_wait_cancelled_at_its_start_leaves_the_lock_held(some: Primitives) -> None:
    condition = some.condition()
    await condition.acquire()
    wait = asyncio.create_task(condition.wait())
    asyncio.get_running_loop().call_soon(wait.cancel)
    with pytest.raises(asyncio.CancelledError):
        await wait
    await some.waiting(condition, 0)
    assert await done(condition.locked())
    await done(condition.release())


async def test_a_notified_wait_cancelled_beside_the_release_holds_the_lock(some: Primitives) -> None:
    condition = some.condition()
    await condition.acquire()
    wait = asyncio.create_task(condition.wait())
    await some.waiting(condition, 1)
    await until(lambda: done(condition.locked()), lambda locked: not locked)
    await condition.acquire()
    await done(condition.notify())
    wait.cancel()
    await done(condition.release())
    await asyncio.wait({wait})
    assert wait.cancelled() or wait.result()
    assert await done(condition.locked())
    await done(condition.release())


async def test_a_notified_wait_cancelled_while_it_acquires_is_cancelled_with_the_lock(some: Primitives) -> None:
    condition = some.condition()
    held: list[bool] = []

    async def waiter() -> None:
        async with condition:
            try:
                await condition.wait()
            finally:
                held.append(await done(condition.locked()))

    task = asyncio.create_task(waiter())
    await some.waiting(condition, 1)
    async with condition:
        await done(condition.notify())
        await some.acquiring(condition, 1)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    await asyncio.wait({task})
    assert task.cancelled()
    assert held == [True]
    assert not await done(condition.locked())


async def test_the_error_of_a_cancelled_wait_is_passed_on_as_it_is(some: Primitives) -> None:
    condition = some.condition()
    raised: list[asyncio.CancelledError] = []

    async def waiter() -> None:
        async with condition:
            with pytest.raises(asyncio.CancelledError) as error:
                await condition.wait_for(lambda: False)
            raised.append(error.value)
            raise error.value

    task = asyncio.create_task(waiter())
    await some.waiting(condition, 1)
    task.cancel("a test")
    with pytest.raises(asyncio.CancelledError) as error:
        await task
    assert error.value.args == ("a test",)
    assert error.value is raised.pop()


@since_3_13
async def test_the_error_of_a_wait_that_is_cancelled_while_it_acquires_is_passed_on_as_it_is(some: Primitives) -> None:
    condition = some.condition()
    raised: list[asyncio.CancelledError] = []
    is_there = False

    async def waiter() -> None:
        async with condition:
            with pytest.raises(asyncio.CancelledError) as error:
                await condition.wait_for(lambda: is_there)
            raised.append(error.value)
            raise error.value

    task = asyncio.create_task(waiter())
    await some.waiting(condition, 1)
    async with condition:
        is_there = True
        await done(condition.notify())
        await some.acquiring(condition, 1)
        task.cancel("a test")
    with pytest.raises(asyncio.CancelledError) as error:
        await task
    assert error.value.args == ("a test",)
    assert error.value is raised.pop()


@since_3_13
@pytest.mark.parametrize("acquires", [False, True])
async def test_the_notification_of_who_is_cancelled_goes_to_the_next(some: Primitives, acquires: bool) -> None:  # noqa: FBT001
    """Cancelled as soon as it is notified, or when it asks for the lock again."""
    condition = some.condition()
    items = Items(condition)
    consumers = []
    for count in (1, 2):
        consumers.append(asyncio.create_task(items.consume()))
        await some.waiting(condition, count)
    async with condition:
        items.count += 1
        await done(condition.notify(1))
        if acquires:
            await some.acquiring(condition, 1)
        consumers[0].cancel()
        async with asyncio.timeout(5):  # less than a time to live: then every predicate is looked at again
            await condition.wait_for(lambda: not items.count)
        items.count = -1
        await done(condition.notify_all())
    await asyncio.wait(consumers)
    assert consumers[0].cancelled()
    assert consumers[1].result() is None
