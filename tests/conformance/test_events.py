"""What asyncio promises of Event holds for ours."""

import asyncio
import inspect

import pytest

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


async def test_those_who_wait_are_woken_in_order_and_once(some: Primitives) -> None:
    event = some.event()
    woken: list[int] = []

    async def wait(number: int) -> None:
        if await event.wait():
            woken.append(number)

    waits = []
    for number in range(3):
        waits.append(asyncio.create_task(wait(number)))
        await asyncio.sleep(0)
    await settled(*waits)
    for word in ("set", "clear", "set", "set"):
        await done(getattr(event, word)())
    await asyncio.gather(*waits)
    assert woken == [0, 1, 2]
    assert await event.wait()


@pytest.mark.differs("round-trip")
async def test_what_an_event_does_is_no_coroutine(some: Primitives) -> None:
    event = some.event()
    assert inspect.iscoroutinefunction(event.wait)
    for word in ("set", "clear", "is_set"):
        assert inspect.iscoroutinefunction(getattr(event, word)) is some.are_ours


@pytest.mark.differs("event-is-no-flag")
async def test_an_event_is_true_whether_it_is_set_or_not(some: Primitives) -> None:
    event = some.event()
    if some.are_ours:
        with pytest.raises(TypeError, match="is_set"):
            bool(event)
    else:
        assert event
        assert not event.is_set()


@pytest.mark.differs("by-name")
async def test_a_new_event_is_clear(some: Primitives) -> None:
    await done(some.event().set())
    assert await done(some.event().is_set()) is some.are_ours
