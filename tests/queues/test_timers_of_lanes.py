"""A lane that rests looks again by a timer: one that is set anew for each message would cost each message."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from shared.concurrency import Queue, Session
from shared.concurrency.queues.membership.rest import Rest
from tests.instruments.inside import is_idle
from tests.instruments.waiting import until

MESSAGES = 50


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.TimerHandle]:
    """Those that lanes set, as they set them."""
    loop = asyncio.get_event_loop()
    call_at, found = loop.call_at, list[asyncio.TimerHandle]()

    def noted(when: float, callback: Callable[..., object], *arguments: Any, **more: Any) -> asyncio.TimerHandle:
        handle = call_at(when, callback, *arguments, **more)
        if isinstance(getattr(callback, "__self__", None), Rest):
            found.append(handle)
        return handle

    monkeypatch.setattr(loop, "call_at", noted)
    return found


async def test_a_lane_sets_no_timer_for_each_message(
    url: str, session: Session, name: str, timers: list[asyncio.TimerHandle]
) -> None:
    """Each get waits for its put, so the lane of takes rests before each."""
    queue = Queue(session, name, int)
    async with Session.open(url) as other:
        putting = Queue(other, name, int)

        async def idle() -> bool:
            return is_idle(session, name)

        began = asyncio.get_running_loop().time()
        for number in range(MESSAGES):
            getting = asyncio.create_task(queue.get())
            await until(idle, bool)
            await putting.put(number)
            async with await getting as item:
                assert item == number
        seconds = asyncio.get_running_loop().time() - began
    assert 0 < len(timers) < MESSAGES / 2 + 4 * seconds


async def test_a_closed_session_leaves_no_timer(url: str, name: str, timers: list[asyncio.TimerHandle]) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, name, int)
        getting = asyncio.create_task(queue.get())
        await queue.put(1)
        async with await getting:
            pass
        waiting = asyncio.create_task(queue.get())

        async def set_so_far() -> int:
            return len(timers)

        await until(set_so_far, bool)
        waiting.cancel()
        await asyncio.wait({waiting})
    now = asyncio.get_running_loop().time()
    assert [timer for timer in timers if not timer.cancelled() and timer.when() > now] == []
