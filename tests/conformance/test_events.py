"""What asyncio promises of Event holds for ours."""

import asyncio

from tests.conformance.primitives import Primitives, done, settled


async def test_an_event_is_clear_at_first_and_stays_set(some: Primitives) -> None:
    event = some.event()
    assert not await done(event.is_set())
    await done(event.set())
    await done(event.set())
    assert await done(event.is_set())
    assert await event.wait() is True
    await done(event.clear())
    assert not await done(event.is_set())
    await done(event.clear())


async def test_set_wakes_all_who_wait(some: Primitives) -> None:
    event = some.event()
    waits = [asyncio.create_task(event.wait()) for _ in range(5)]
    await settled(*waits)
    assert not any(wait.done() for wait in waits)
    await done(event.set())
    assert await asyncio.gather(*waits) == [True] * 5


async def test_who_waits_is_woken_though_the_event_is_cleared_at_once(some: Primitives) -> None:
    event = some.event()
    wait = asyncio.create_task(event.wait())
    await settled(wait)
    await done(event.set())
    await done(event.clear())
    assert await wait is True
    later = asyncio.create_task(event.wait())
    await settled(later)
    assert not later.done()
    later.cancel()


async def test_a_wait_can_be_cancelled(some: Primitives) -> None:
    event = some.event()
    wait = asyncio.create_task(event.wait())
    await settled(wait)
    wait.cancel()
    await asyncio.wait({wait})
    assert wait.cancelled()
    await done(event.set())
    assert await event.wait()
