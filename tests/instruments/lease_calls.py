"""Every public call of the leases and their kin, with what has to come before it and what goes on meanwhile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from shared.concurrency import (
    Barrier,
    Condition,
    Event,
    Lease,
    LeaseLost,
    Lock,
    ReadersWritersLease,
    Semaphore,
    Session,
)
from tests.instruments.inside import has_ended
from tests.instruments.waiting import until


@dataclass
class Place:
    """A name of its own, seen by a session whose calls are broken off and by another one that is well."""

    session: Session
    other: Session
    name: str
    held: list[Lease] = field(default_factory=list)
    """What the other session holds."""
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    async def nothing_left(self) -> None:
        """Until nobody holds or waits for anything under this name: what was broken off has left no trace."""
        lock = Lock(self.other, self.name)
        await until(lock.statistics, lambda now: not now.holders and not now.waiters)
        async with asyncio.timeout(5), lock:
            pass
        await until(Barrier(self.other, self.name, 2).n_waiting, lambda count: count == 0)


@contextlib.asynccontextmanager
async def placed(session: Session, other: Session, name: str) -> AsyncIterator[Place]:
    """A place; what the other session holds there is given back at the end."""
    place = Place(session, other, name)
    try:
        yield place
    finally:
        for task in place.tasks:
            task.cancel()
        if place.tasks:
            await asyncio.wait(place.tasks)
        for lease in place.held:
            if not has_ended(lease):
                with contextlib.suppress(LeaseLost):
                    await lease.release()


@dataclass(frozen=True)
class Case:
    """One public call."""

    call: Callable[[Place], Coroutine[Any, Any, Any]]
    prepare: Callable[[Place], Awaitable[None]] | None = None
    meanwhile: Callable[[Place], Awaitable[None]] | None = None
    """What goes on at the same time, so that a waiting call comes to its end."""


async def others_lock(place: Place) -> None:
    place.held.append(await Lock(place.other, place.name).acquire())


async def others_read(place: Place) -> None:
    place.held.append(await ReadersWritersLease(place.other, place.name).read().acquire())


async def others_write(place: Place) -> None:
    place.held.append(await ReadersWritersLease(place.other, place.name).write().acquire())


async def others_release(place: Place) -> None:
    """Give back what the other session holds, once somebody waits for it (or is not going to)."""
    lock = Lock(place.other, place.name)
    with contextlib.suppress(AssertionError):
        await until(lock.statistics, lambda now: bool(now.waiters), seconds=0.3)
    for lease in place.held:
        await lease.release()


async def lock_by_hand(place: Place) -> None:
    lock = Lock(place.session, place.name)
    lease = await lock.acquire()
    try:
        lease.check()
    finally:
        await lock.release()


async def lock(place: Place) -> None:
    async with Lock(place.session, place.name) as lease:
        lease.check()


async def lock_at_once(place: Place) -> None:
    lock = Lock(place.session, place.name)
    lease = await lock.acquire_nowait()
    await lease.release()


async def lock_within(place: Place) -> None:
    async with Lock(place.session, place.name).within(10) as lease:
        lease.check()


async def resize(place: Place) -> None:
    permits = Semaphore(place.session, place.name, 2)
    await permits.resize(3)
    assert (await permits.statistics()).limit == 3


async def semaphore(place: Place) -> None:
    async with Semaphore(place.session, place.name, 2) as lease:
        lease.check()


async def read(place: Place) -> None:
    async with ReadersWritersLease(place.session, place.name).read() as lease:
        lease.check()


async def read_beside_another(place: Place) -> None:
    catalog = ReadersWritersLease(place.session, place.name)
    beside = asyncio.create_task(read(place))
    place.tasks.append(beside)  # cancelled twice, we do not wait for it
    try:
        async with catalog.read() as lease:
            lease.check()
    finally:
        await asyncio.wait({beside})


async def write(place: Place) -> None:
    async with ReadersWritersLease(place.session, place.name).write() as lease:
        lease.check()


async def downgrade(place: Place) -> None:
    async with ReadersWritersLease(place.session, place.name).write() as lease:
        await lease.downgrade()
        lease.check()


async def statistics(place: Place) -> None:
    await Lock(place.session, place.name).statistics()


async def set_event(place: Place) -> None:
    event = Event(place.session, place.name)
    await event.set()
    assert await event.is_set()


async def wait_for_event(place: Place) -> None:
    await Event(place.session, place.name).wait()


async def others_set_event(place: Place) -> None:
    await Event(place.other, place.name).set()


async def wait_for_condition(place: Place) -> None:
    condition = Condition(place.session, place.name)
    async with condition as lease:
        try:
            await condition.wait()
        finally:
            lease.check()


async def notify(place: Place) -> None:
    condition = Condition(place.session, place.name)
    async with condition:
        await condition.notify()
        await condition.notify_all()


async def others_notify(place: Place) -> None:
    condition = Condition(place.other, place.name)
    while True:
        async with condition:
            await condition.notify_all()
        await asyncio.sleep(0.005)


async def meet(place: Place) -> None:
    assert await Barrier(place.session, place.name, 2).wait() in {0, 1}


async def others_meet(place: Place) -> None:
    await Barrier(place.other, place.name, 2).wait()


async def end_barrier(place: Place) -> None:
    barrier = Barrier(place.session, place.name, 2)
    await barrier.abort()
    await barrier.reset()
    assert not await barrier.broken()


CASES: Final[dict[str, Case]] = {
    "lock": Case(lock),
    "lock by hand": Case(lock_by_hand),
    "lock that another holds": Case(lock, others_lock, others_release),
    "lock at once": Case(lock_at_once),
    "lock within, that another holds": Case(lock_within, others_lock, others_release),
    "semaphore": Case(semaphore),
    "resize": Case(resize),
    "read": Case(read),
    "read beside another": Case(read_beside_another),
    "read while another reads": Case(read, others_read, others_release),
    "read while another writes": Case(read, others_write, others_release),
    "write": Case(write),
    "write while another reads": Case(write, others_read, others_release),
    "downgrade": Case(downgrade),
    "statistics": Case(statistics),
    "event": Case(set_event),
    "event that another sets": Case(wait_for_event, None, others_set_event),
    "condition that another notifies": Case(wait_for_condition, None, others_notify),
    "notify": Case(notify),
    "barrier that another waits at": Case(meet, None, others_meet),
    "abort and reset": Case(end_barrier),
}
