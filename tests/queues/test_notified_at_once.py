"""Whoever waits is notified at once: well before anybody looks again by himself, after a second."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from shared.concurrency import Delivery, Queue, Session
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments import inside
from tests.instruments.waiting import until

AT_ONCE: Final = 0.5
"""Seconds."""


@dataclass(frozen=True)
class Scene:
    """A queue in two sessions: one acts, and in the other somebody waits."""

    session: Session
    queue: Queue[int]
    theirs: Queue[int]
    client: Any
    url: str
    held: list[Delivery[int]]
    """What sessions that end hold: whoever forgets it gives it back."""


Act = Callable[[], Awaitable[object]]
Prepare = Callable[[Scene, contextlib.AsyncExitStack], Awaitable[Act]]


async def held_by_another(scene: Scene, stack: contextlib.AsyncExitStack) -> tuple[Session, contextlib.AsyncExitStack]:
    """A session that holds the message, and what ends it."""
    ending = await stack.enter_async_context(contextlib.AsyncExitStack())
    holder = await ending.enter_async_context(Session.open(scene.url))
    await scene.queue.put(7)
    scene.held.append(await Queue(holder, scene.queue.name, int).get())
    return holder, ending


async def put(scene: Scene, _: contextlib.AsyncExitStack) -> Act:
    return lambda: scene.queue.put(7)


async def put_with_more(scene: Scene, _: contextlib.AsyncExitStack) -> Act:
    return lambda: scene.queue.put_many([7, 8])


async def nack(scene: Scene, _: contextlib.AsyncExitStack) -> Act:
    await scene.queue.put(7)
    return (await scene.queue.get()).nack


async def replay(scene: Scene, _: contextlib.AsyncExitStack) -> Act:
    await scene.queue.put(7)
    await (await scene.queue.get()).dead_letter("a test")
    return scene.queue.replay


async def leave(scene: Scene, stack: contextlib.AsyncExitStack) -> Act:
    _, ending = await held_by_another(scene, stack)
    return ending.aclose


async def recover(scene: Scene, stack: contextlib.AsyncExitStack) -> Act:
    holder, _ = await held_by_another(scene, stack)
    name = scene.queue.name
    return lambda: inside.crash(scene.client, scene.session, name, holder)


async def resume(scene: Scene, _: contextlib.AsyncExitStack) -> Act:
    await scene.queue.pause()
    await scene.queue.put(7)
    return scene.queue.resume


async def resize(scene: Scene, stack: contextlib.AsyncExitStack) -> Act:
    await scene.queue.resize(1)
    await scene.queue.put(1)
    await (await scene.queue.get()).nack(delay=60)
    putting = asyncio.create_task(scene.queue.put(7))
    stack.push_async_callback(asyncio.wait, {putting})
    await until(scene.queue.statistics, lambda seen: seen.puts_waiting == 1)
    return lambda: scene.queue.resize(2)


ACTS: Final[list[Prepare]] = [put, put_with_more, nack, replay, leave, recover, resume, resize]


@pytest.fixture
async def scene(url: str, session: Session, other: Session, client: Any, name: str) -> Scene:
    return Scene(session, Queue(session, name, int), Queue(other, name, int), client, url, [])


@pytest.mark.parametrize("prepare", ACTS)
async def test_who_gets_is_woken(scene: Scene, prepare: Prepare) -> None:
    async with contextlib.AsyncExitStack() as stack:
        act = await prepare(scene, stack)
        getting = asyncio.create_task(scene.theirs.get())
        waiting = inside.session_id_at(scene.theirs)
        idle = queue_keys(scene.queue.name)["idle"]
        await until(lambda: scene.client.zscore(idle, waiting), lambda since: since is not None)
        await act()
        async with asyncio.timeout(AT_ONCE), await getting as item:
            assert item == 7


async def last_acknowledged(scene: Scene, _: contextlib.AsyncExitStack) -> Act:
    await scene.queue.put(7)
    return (await scene.queue.get()).ack


async def last_shut_out(scene: Scene, _: contextlib.AsyncExitStack) -> Act:
    await scene.queue.put(7)
    return lambda: scene.queue.shutdown(immediate=True)


async def last_crashed_for_the_fifth_time(scene: Scene, stack: contextlib.AsyncExitStack) -> Act:
    keys = queue_keys(scene.queue.name)
    await scene.queue.put(7)
    entry = await scene.client.lpop(keys["pending"])
    await scene.client.rpush(keys["suspects"], entry[:38] + b"4" + entry[39:])
    holder = await stack.enter_async_context(Session.open(scene.url))
    scene.held.append(await Queue(holder, scene.queue.name, int).get())
    return lambda: inside.crash(scene.client, scene.session, scene.queue.name, holder)


@pytest.mark.parametrize("prepare", [last_acknowledged, last_shut_out, last_crashed_for_the_fifth_time])
async def test_who_joins_is_notified_of_the_end(scene: Scene, prepare: Prepare) -> None:
    async with contextlib.AsyncExitStack() as stack:
        act = await prepare(scene, stack)
        joining = asyncio.create_task(scene.theirs.join())
        joiners = queue_keys(scene.queue.name)["joiners"]
        await until(lambda: scene.client.zcard(joiners), lambda count: count == 1)
        assert not joining.done()
        await act()
        async with asyncio.timeout(AT_ONCE):
            await joining
        seen = await scene.queue.statistics()
        assert (seen.pending, seen.delayed, seen.leased) == (0, 0, 0)


async def test_a_put_with_an_id_is_notified_of_room(scene: Scene) -> None:
    await scene.queue.resize(1)
    await scene.queue.put(1)
    putting = asyncio.create_task(scene.theirs.put(2, id="two"))
    await until(scene.queue.statistics, lambda seen: seen.puts_waiting == 1)
    await (await scene.queue.get()).ack()
    async with asyncio.timeout(AT_ONCE):
        assert await putting
    async with await scene.queue.get() as item:
        assert item == 2
