"""Who holds a lease: process, host, task and since when, as its statistics show."""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from typing import Any, Final

import pytest

from shared.concurrency import Condition, Lock, ReadersWritersLease, Semaphore, Session
from tests.instruments import inside, lease_processes
from tests.instruments.lease_waiters import waiters
from tests.instruments.processes import running
from tests.instruments.waiting import until

MAKERS: Final[dict[str, Callable[[Session, str], Any]]] = {
    "lock": Lock,
    "semaphore": lambda session, name: Semaphore(session, name, 1),
    "condition": Condition,
    "read": lambda session, name: ReadersWritersLease(session, name).read(),
    "write": lambda session, name: ReadersWritersLease(session, name).write(),
}


async def holder(session: Session, name: str) -> tuple[str, int, str, str]:
    (only,) = (await ReadersWritersLease(session, name).statistics()).holders
    return only.owner, only.pid, only.host, only.task


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("kind", MAKERS)
async def test_a_holder_is_named(session: Session, other: Session, name: str, kind: str, waits: bool) -> None:  # noqa: FBT001
    blocker = MAKERS["write" if kind == "read" else kind](other, name)
    if waits:
        await blocker.acquire()
    task = asyncio.create_task(MAKERS[kind](session, name).acquire(), name="the night's report")
    if waits:
        await waiters(ReadersWritersLease(session, name), 1)
        await blocker.release()
    lease = await task
    own = inside.owner_of(session), os.getpid(), socket.gethostname(), "the night's report"
    assert await holder(session, name) == own
    (only,) = (await ReadersWritersLease(session, name).statistics()).holders
    assert abs(only.since - time.time()) < 20
    await lease.release()


async def test_since_when_stays_when_it_is_renewed_and_downgraded(session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    async with catalog.write() as lease:
        (before,) = (await catalog.statistics()).holders
        # By more than a look takes: else what the renewal adds is gone before it is looked at.
        older = await until(catalog.statistics, lambda now: now.holders[0].seconds_left < before.seconds_left - 0.2)
        inside.renew_now(session)
        await until(catalog.statistics, lambda now: now.holders[0].seconds_left > older.holders[0].seconds_left)
        await lease.downgrade()
        (after,) = (await catalog.statistics()).holders
        assert (after.mode, after.since, after.task, after.token) == ("read", before.since, before.task, before.token)


async def test_who_waited_for_a_condition_is_named_again(session: Session, other: Session, name: str) -> None:
    condition = Condition(session, name)
    named: list[str] = []

    async def wait() -> None:
        async with condition:
            await condition.wait()
            named.append((await holder(session, name))[3])

    task = asyncio.create_task(wait(), name="the waiter")
    elsewhere = Condition(other, name)
    while not task.done():
        async with elsewhere:
            await elsewhere.notify()
    await task
    assert named == ["the waiter"]


async def test_what_is_no_plain_task_name_does_no_harm(session: Session, client: Any, name: str) -> None:
    for called in ("", " two  words ", "a\nb\x00", "\ud800", "gr\u00f6\u00dfe", "x" * 5000):
        lease = await asyncio.create_task(Lock(session, name).acquire(), name=called)
        (only,) = (await Lock(session, name).statistics()).holders
        assert only.task == called.encode(errors="replace").decode()[:100]
        assert only.pid == os.getpid()
        await lease.release()
    # Nothing is kept of those who are gone.
    assert not [field for field in await client.hkeys(f"{{{name}}}:lease") if b"." in field]


async def test_nothing_is_kept_of_who_waited_and_died(url: str, session: Session, client: Any, name: str) -> None:
    lock = Lock(session, name)
    async with lock:
        async with running(lease_processes.many_waiters, url, name, 0.5, 3) as process:
            await waiters(lock, 3)
            (only,) = (await lock.statistics()).holders
            assert only.pid == os.getpid()
            await process.kill()
        await waiters(lock, 0)
        task = asyncio.create_task(lock.acquire())
        await waiters(lock, 1)
        task.cancel()
        await asyncio.wait({task})
        await waiters(lock, 0)
    await until(
        lambda: client.hkeys(f"{{{name}}}:lease"), lambda fields: not [field for field in fields if b"." in field]
    )


async def test_a_holder_in_another_process_is_named(url: str, session: Session, name: str) -> None:
    async with running(lease_processes.lock, url, name, 10.0) as process:
        await process.said("holds")
        (only,) = (await Lock(session, name).statistics()).holders
        assert (only.pid, only.host) == (process.pid, socket.gethostname())
