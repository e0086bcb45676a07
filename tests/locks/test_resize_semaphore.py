"""How many permits a semaphore has: stored with its name, changed by `resize`, while it is in use too."""

import asyncio
import logging
from typing import Any, Final

import pytest

from shared.concurrency import ConcurrencyError, LeaseBusy, Lock, ReadersWritersLease, Semaphore, Session
from tests.instruments.lease_waiters import Waiters
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate

KEEPS: Final = "the semaphore keeps the limit that it has"


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith(KEEPS)]


async def test_a_deploy_from_3_to_5_while_it_is_in_use(
    session: Session, other: Session, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "weir")
    before, after = Semaphore(session, name, 3), Semaphore(other, name, 5)
    queued = Waiters(before)
    held = [await before.acquire() for _ in range(2)]
    held.append(await after.acquire())
    assert await before.locked()
    assert await after.locked()
    (line,) = refusals(caplog)
    assert "stored=3" in line
    assert "ignored=5" in line
    for who in ("old", "new", "third"):
        await queued.join(who, before if who == "old" else after)
    await after.resize(5)
    await queued.inside("old", "new")
    now = await before.statistics()
    assert (now.kind, now.limit, len(now.holders), len(now.waiters)) == ("semaphore", 5, 5, 1)
    assert await before.locked()
    for lease in held:
        await lease.release()
    await queued.end()
    async with before:
        pass
    assert "stored=5 ignored=3" in refusals(caplog)[1]  # the old one's is another one from then on
    for limit in (4, 6):
        await before.resize(limit)
        async with after:
            pass
    assert len(refusals(caplog)) == 2  # each has been told once
    assert not await before.locked()


async def test_after_a_shrink_all_keep_their_permits_and_nobody_gets_one_too_many(
    session: Session, other: Session, name: str
) -> None:
    here, there = Semaphore(session, name, 3), Semaphore(other, name, 3)
    held = [await here.acquire() for _ in range(3)]
    await there.resize(1)
    for lease in held:
        lease.check()
        with pytest.raises(LeaseBusy):
            await there.acquire_nowait()
        await lease.release()
    async with there:
        with pytest.raises(LeaseBusy):
            await here.acquire_nowait()


async def test_the_limit_stays_when_nobody_uses_it(session: Session, other: Session, client: Any, name: str) -> None:
    async with Semaphore(session, name, 2):
        pass
    record = f"{{{name}}}:lease"
    assert await client.ttl(record) > 0
    there = Semaphore(other, name, 7)
    leases = [await there.acquire_nowait() for _ in range(2)]
    with pytest.raises(LeaseBusy):
        await there.acquire_nowait()
    await there.resize(4)
    leases.append(await there.acquire_nowait())
    for lease in leases:
        await lease.release()
    # What somebody has set by hand is kept for good.
    assert await client.ttl(record) == -1
    assert (await there.statistics()).limit == 4


async def test_a_lock_of_that_name_does_not_inherit_how_long_it_is_kept(
    session: Session, client: Any, name: str
) -> None:
    record = f"{{{name}}}:lease"
    await Semaphore(session, name, 2).resize(4)
    async with Lock(session, name):
        pass
    await client.pexpire(record, 60_000)
    async with Lock(session, name):
        pass
    assert await client.ttl(record) > 3000
    async with Semaphore(session, name, 3):
        pass
    assert await client.ttl(record) > 3000  # not for good, as after a `resize`


async def test_the_later_resize_wins(session: Session, other: Session, name: str) -> None:
    here, there = Semaphore(session, name, 2), Semaphore(other, name, 2)
    for limit in (5, 3, 4):
        await (here if limit % 2 else there).resize(limit)
        assert (await here.statistics()).limit == limit


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
async def test_a_repetition_does_not_undo_a_later_resize(
    through_proxy: Session, proxy: Proxy, other: Session, name: str, fate: Fate
) -> None:
    here, there = Semaphore(through_proxy, name, 2), Semaphore(other, name, 2)
    await there.resize(2)
    met = proxy.drop_nth(2, fate, lambda command: command.name == "resize_permits")
    resizing = asyncio.create_task(here.resize(5))
    await met.wait()
    with proxy.refusing():
        await there.resize(9)  # ours, if it has run, was before this one
    await resizing
    assert (await there.statistics()).limit == 9


async def test_a_task_that_holds_all_there_are_is_told_so_whoever_changed_the_limit(
    session: Session, other: Session, name: str
) -> None:
    permits = Semaphore(session, name, 2)
    async with permits, permits:
        with pytest.raises(RuntimeError, match="holds all 2"):
            await permits.acquire()
        await Semaphore(other, name, 2).resize(3)
        async with permits:
            await Semaphore(other, name, 3).resize(2)
            with pytest.raises(RuntimeError, match="holds all 2"):
                await permits.acquire()
    now = await permits.statistics()
    assert (now.holders, now.waiters) == ((), ())


async def test_a_lock_and_a_semaphore_of_one_name_do_not_mix(session: Session, other: Session, name: str) -> None:
    permits = Semaphore(other, name, 3)
    await permits.resize(4)
    async with Lock(session, name):
        assert (await permits.statistics()).kind == "lock"
        with pytest.raises(LeaseBusy):
            await Lock(other, name).acquire_nowait()
        with pytest.raises(ValueError, match="in use as lock, and is no semaphore"):
            await permits.resize(5)
        with pytest.raises(ValueError, match="in use as lock, and here as limit 4"):
            await permits.acquire()
    async with ReadersWritersLease(session, name).write():
        with pytest.raises(ValueError, match="in use as fair"):
            await permits.resize(5)


async def test_a_limit_is_set_before_anybody_has_used_it(session: Session, other: Session, name: str) -> None:
    await Semaphore(session, name, 1).resize(2)
    there = Semaphore(other, name, 1)
    async with there, there:
        assert await there.locked()


@pytest.mark.parametrize("limit", [0, -1, 10_000_001, True, 1.0, "3", None])
async def test_what_is_no_limit_is_refused(session: Session, name: str, limit: Any) -> None:
    with pytest.raises(ValueError, match="limit is a whole number"):
        await Semaphore(session, name, 3).resize(limit)
    assert (await Semaphore(session, name, 3).statistics()).limit is None


async def test_a_closed_session_is_refused(url: str, name: str) -> None:
    async with Session.open(url) as closed:
        permits = Semaphore(closed, name, 3)
    with pytest.raises(ConcurrencyError, match="the session is closed"):
        await permits.resize(4)
