"""What is held in one event loop is used from another one, a thread or a forked child: refused, and nothing changes."""

import asyncio
import multiprocessing
import os
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from shared.concurrency import Condition, Event, Lease, Lock, ReadersWritersLease, Semaphore, Session
from shared.concurrency.locks.leases.lease import WriteLease
from shared.concurrency.session.session import process_of
from tests.instruments import inside

pytestmark = pytest.mark.timeout(180)


@dataclass
class Held:
    """Objects of one session, each used already, and what they hold."""

    session: Session
    name: str
    lock: Lock
    permits: Semaphore
    reading: Any
    condition: Condition
    event: Event
    leases: dict[str, Lease]

    @classmethod
    async def by(cls, session: Session, name: str) -> "Held":
        catalog = ReadersWritersLease(session, f"{name}-catalog")
        held = cls(
            session,
            name,
            Lock(session, f"{name}-lock"),
            Semaphore(session, f"{name}-permits", 2),
            catalog.read(),
            Condition(session, f"{name}-condition"),
            Event(session, f"{name}-event"),
            {},
        )
        held.leases["lock"] = await held.lock.acquire()
        held.leases["permit"] = await held.permits.__aenter__()
        held.leases["read"] = await held.reading.__aenter__()
        held.leases["condition"] = await held.condition.acquire()
        held.leases["write"] = await ReadersWritersLease(session, f"{name}-written").write().acquire()
        return held

    async def look(self) -> None:
        """All is held as before, here and at the server, and nothing more."""
        for lease in self.leases.values():
            lease.check()
        assert self.leases["write"].mode == "write"
        for each in (self.lock, self.permits, self.condition):
            assert len((await each.statistics()).holders) == 1
        assert inside.hold_of(self.leases["read"]).places == 1
        assert not await self.event.is_set()
        assert inside.listeners_of(self.session) == 0

    async def release(self) -> None:
        """Give it all back, each in its own way."""
        await self.lock.release()
        await self.permits.__aexit__(None, None, None)
        await self.reading.__aexit__(None, None, None)
        await self.condition.release()
        await self.leases["write"].release()


async def downgrade(held: Held) -> None:
    lease = held.leases["write"]
    assert isinstance(lease, WriteLease)
    await lease.downgrade()


USES: dict[str, Callable[[Held], Awaitable[object]]] = {
    "acquire": lambda held: held.lock.acquire(),
    "enter": lambda held: held.permits.__aenter__(),
    "enter a read": lambda held: held.reading.__aenter__(),
    "release": lambda held: held.lock.release(),
    "release of the lease": lambda held: held.leases["lock"].release(),
    "release of a read lease": lambda held: held.leases["read"].release(),
    "leave": lambda held: held.permits.__aexit__(None, None, None),
    "leave a read": lambda held: held.reading.__aexit__(None, None, None),
    "downgrade": downgrade,
    "locked": lambda held: held.lock.locked(),
    "statistics": lambda held: held.permits.statistics(),
    "wait": lambda held: held.condition.wait(),
    "wait_for": lambda held: held.condition.wait_for(lambda: True),
    "notify": lambda held: held.condition.notify(),
    "notify_all": lambda held: held.condition.notify_all(),
    "event set": lambda held: held.event.set(),
    "event clear": lambda held: held.event.clear(),
    "event wait": lambda held: held.event.wait(),
    "is_set": lambda held: held.event.is_set(),
    "close": lambda held: process_of(held.session).close(),
}


def used(held: Held, what: str) -> str:
    """What becomes of a use in an event loop of its own."""

    async def bounded() -> None:
        async with asyncio.timeout(5):
            await USES[what](held)

    try:
        asyncio.run(bounded())
    except Exception as error:  # noqa: BLE001  # it is what the test looks at
        return f"{type(error).__name__}: {error}"
    return "done"


@pytest.mark.parametrize("what", USES)
async def test_another_loop_is_refused_before_anything_is_joined_or_sent(
    session: Session, name: str, what: str
) -> None:
    held = await Held.by(session, name)
    said = await asyncio.to_thread(used, held, what)
    assert said.startswith("WrongLoop: "), said
    await held.look()
    await held.release()
    assert (await held.lock.statistics()).holders == ()


async def test_a_forked_child_is_refused_and_its_parent_keeps_what_it_holds(session: Session, name: str) -> None:
    held = await Held.by(session, name)
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()

    def child() -> None:
        theirs.send({what: used(held, what) for what in USES})

    with warnings.catch_warnings():
        # The heartbeat is a thread; from 3.12 on Python warns of every fork beside one.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = fork.Process(target=child)
        process.start()
    said = await asyncio.to_thread(ours.recv)
    await asyncio.to_thread(process.join)
    ours.close()
    theirs.close()
    assert {what: text for what, text in said.items() if not text.startswith("WrongLoop: ")} == {}
    await held.look()
    await held.release()


async def test_a_child_that_goes_on_with_the_loop_it_was_forked_in_is_refused(session: Session, name: str) -> None:
    held = await Held.by(session, name)
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        # The coroutine is driven by hand, as the inherited loop would.
        said = "nothing"
        for what, use in USES.items():
            try:
                use(held).__await__().send(None)
            except Exception as error:  # noqa: BLE001  # it is what the test looks at
                said = type(error).__name__
            else:
                said = what
            if said != "WrongLoop":
                break
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    assert await asyncio.to_thread(os.read, reader, 100) == b"WrongLoop"
    os.close(reader)
    await asyncio.to_thread(os.waitpid, pid, 0)
    await held.look()
    await held.release()
