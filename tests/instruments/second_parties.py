"""Every call of the locks, and a second party that must get what the call lets go when it is broken off."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from shared.concurrency import Condition, Event, Lock, ReadersWritersLease, Semaphore, Session
from shared.concurrency.locks.leases.acquirable import Acquirable
from tests.instruments.scenes import WITHIN, Case, Scene
from tests.instruments.waiting import until

Ask = Callable[[Session, str], Acquirable[Any]]


# --- what is held -----------------------------------------------------------------------------------------------------


def lock(session: Session, name: str) -> Acquirable[Any]:
    return Lock(session, name)


def permit(session: Session, name: str) -> Acquirable[Any]:
    return Semaphore(session, name, 2)


def reading(session: Session, name: str) -> Acquirable[Any]:
    return ReadersWritersLease(session, name).read()


def short_reading(session: Session, name: str) -> Acquirable[Any]:
    return ReadersWritersLease(session, name, max_hold=60.0).read()


def writing(session: Session, name: str) -> Acquirable[Any]:
    return ReadersWritersLease(session, name).write()


def entered(ask: Ask) -> Callable[[Scene], Coroutine[Any, Any, None]]:
    """A body."""

    async def call(scene: Scene) -> None:
        async with ask(scene.session, scene.name) as lease:
            lease.check()
            await asyncio.sleep(0)

    return call


def acquired(ask: Ask) -> Callable[[Scene], Coroutine[Any, Any, None]]:
    """The same by hand."""

    async def call(scene: Scene) -> None:
        claim = ask(scene.session, scene.name)
        lease = await claim.acquire()
        try:
            lease.check()
            await asyncio.sleep(0)
        finally:
            await claim.release()

    return call


def free_for(*asks: Ask) -> Callable[[Scene], Awaitable[None]]:
    """The second party enters all of these."""

    async def afterwards(scene: Scene) -> None:
        async with asyncio.timeout(WITHIN), contextlib.AsyncExitStack() as stack:
            for ask in asks:
                await stack.enter_async_context(ask(scene.other, scene.name))

    return afterwards


def held_as(ask: Ask) -> Callable[[Scene], Awaitable[None]]:
    """The other session holds it."""

    async def before(scene: Scene) -> None:
        scene.held = await ask(scene.other, scene.name).acquire()

    return before


def second_behind(ask: Ask) -> Callable[[Scene], Coroutine[Any, Any, None]]:
    """The second party waits behind the call; then what is held is given back."""

    async def enter(scene: Scene) -> None:
        async with ask(scene.other, scene.name):
            pass

    async def meanwhile(scene: Scene) -> None:
        assert scene.held is not None
        await scene.reach("lease:waiting", scene.session)
        scene.second = scene.start(enter(scene))
        await scene.reach("lease:waiting", scene.other)
        await scene.held.release()

    return meanwhile


# --- downgrade --------------------------------------------------------------------------------------------------------


async def downgrade(scene: Scene) -> None:
    """Downgrade, and stay until the second party has come in, also when it is cancelled there."""
    async with ReadersWritersLease(scene.session, scene.name).write() as lease:
        scene.held = lease
        try:
            await lease.downgrade()
        finally:
            await scene.may_leave.wait()


async def read_beside(scene: Scene) -> None:
    """The second party waits to read, and must not find a writer that believes in its right to write."""

    async def read() -> None:
        async with reading(scene.other, scene.name):
            if scene.held is not None and scene.held.seconds_left:
                assert scene.held.mode == "read"

    # It may hold for less time than a look takes: its session is closed.
    await until(
        lambda: scene.ids("lease:holders", scene.session),
        lambda ids: bool(ids) or scene.held is not None or scene.over.is_set(),
    )
    scene.second = scene.start(read())
    try:
        await scene.come()
    finally:
        scene.may_leave.set()


# --- events -----------------------------------------------------------------------------------------------------------


async def wait_for_event(scene: Scene) -> None:
    assert await Event(scene.session, scene.name).wait()


async def set_event(scene: Scene) -> None:
    await Event(scene.session, scene.name).set()


async def set_and_clear_event(scene: Scene) -> None:
    event = Event(scene.session, scene.name)
    await event.set()
    await event.clear()


async def wait_beside(scene: Scene) -> None:
    """Two more wait, one of them in the same session; then it is set."""

    async def wait() -> None:
        await asyncio.gather(*(Event(place, scene.name).wait() for place in (scene.session, scene.other)))

    scene.second = scene.start(wait())
    await scene.reach("event:watchers", scene.session)
    await scene.reach("event:watchers", scene.other)
    await Event(scene.other, scene.name).set()


async def set_by_second(scene: Scene) -> None:
    """What is set or cleared afterwards is so for everybody."""
    event, elsewhere = Event(scene.session, scene.name), Event(scene.other, scene.name)
    await event.is_set()  # behind what was cancelled on its way, which may have run or not
    await elsewhere.clear()
    assert not await event.is_set()
    waiting = scene.start(event.wait())
    await elsewhere.set()
    async with asyncio.timeout(WITHIN):
        assert await waiting


# --- conditions -------------------------------------------------------------------------------------------------------


async def wait_for_condition(scene: Scene) -> None:
    under = Condition(scene.session, scene.name)
    async with under as lease:
        try:
            await under.wait()
            scene.used = scene.notified
        finally:
            lease.check()


async def wait_by_hand(scene: Scene) -> None:
    under = Condition(scene.session, scene.name)
    lease = await under.acquire()
    try:
        await under.wait()
        scene.used = scene.notified
    finally:
        lease.check()
        await under.release()


async def wait_for_predicate(scene: Scene) -> None:
    under = Condition(scene.session, scene.name)
    async with under as lease:
        try:
            await under.wait_for(lambda: scene.notified)
            scene.used = True
        finally:
            lease.check()


async def notify(scene: Scene) -> None:
    under = Condition(scene.session, scene.name)
    async with under:
        await under.notify()
        await under.notify_all()


async def wait_by_other(scene: Scene) -> None:
    """The second party waits to be notified."""

    async def wait() -> None:
        under = Condition(scene.other, scene.name)
        async with under:
            await under.wait()

    scene.second = scene.start(wait())
    await scene.reach("condition:waiters", scene.other)


async def wait_behind(scene: Scene) -> None:
    """The second party waits behind the call; then one of the two is notified."""
    await scene.reach("condition:waiters", scene.session)
    await wait_by_other(scene)
    if not scene.over.is_set():
        await notify_one(scene)


async def notify_one(scene: Scene) -> None:
    under = Condition(scene.other, scene.name)
    async with under:
        scene.notified = True
        await under.notify()


async def is_notified(scene: Scene) -> None:
    """The second party has the notification that the call did not use, or gets the next one."""
    assert scene.second is not None
    if not scene.second.done() and (scene.used or not scene.notified):
        await notify_one(scene)
    await scene.come()


CASES: Final[dict[str, Case]] = {
    "lock": Case(entered(lock), free_for(lock)),
    "lock by hand": Case(acquired(lock), free_for(lock)),
    "lock that another holds": Case(entered(lock), Scene.come, held_as(lock), second_behind(lock)),
    "lock by hand that another holds": Case(acquired(lock), Scene.come, held_as(lock), second_behind(lock)),
    "semaphore": Case(entered(permit), free_for(permit, permit)),
    "semaphore by hand": Case(acquired(permit), free_for(permit, permit)),
    "read": Case(entered(reading), free_for(writing)),
    "read by hand": Case(acquired(reading), free_for(writing)),
    "read for a time": Case(entered(short_reading), free_for(writing)),
    "read that waits": Case(entered(reading), Scene.come, held_as(writing), second_behind(writing)),
    "write": Case(entered(writing), free_for(writing)),
    "write by hand": Case(acquired(writing), free_for(writing)),
    "write that waits for a writer": Case(entered(writing), Scene.come, held_as(writing), second_behind(writing)),
    "write that waits for a reader": Case(entered(writing), Scene.come, held_as(reading), second_behind(writing)),
    "downgrade": Case(downgrade, Scene.come, None, read_beside),
    "event": Case(wait_for_event, Scene.come, None, wait_beside),
    "set": Case(set_event, set_by_second),
    "set and clear": Case(set_and_clear_event, set_by_second),
    "condition": Case(wait_for_condition, is_notified, None, wait_behind),
    "condition by hand": Case(wait_by_hand, is_notified, None, wait_behind),
    "condition with a predicate": Case(wait_for_predicate, is_notified, None, wait_behind),
    "notify": Case(notify, is_notified, wait_by_other),
}
