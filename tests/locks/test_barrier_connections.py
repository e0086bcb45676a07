"""Barriers over a connection that breaks, and waits that are cancelled: one effect, and no trace."""

import asyncio
from typing import Any

import pytest

from shared.concurrency import Barrier, BrokenBarrierError, Session
from shared.concurrency.locks.leases.keys import barrier_keys
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Command, Fate
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


async def waiting(barrier: Barrier, count: int) -> None:
    await until(barrier.n_waiting, lambda seen: seen == count)


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
@pytest.mark.parametrize("script", ["barrier_wait", "barrier_leave", "barrier_end"])
async def test_an_answer_may_be_lost(  # noqa: PLR0917
    through_proxy: Session, proxy: Proxy, other: Session, client: Any, name: str, fate: Fate, script: str
) -> None:
    here, there = Barrier(through_proxy, name, 2), Barrier(other, name, 2)

    def concerned(command: Command) -> bool:
        return command.name == script

    met = asyncio.Event()
    for is_lost in (False, True):  # the first time the scripts are loaded
        if is_lost:
            met = proxy.drop_nth(1, fate, concerned)
        task = asyncio.create_task(there.wait())
        await waiting(there, 1)
        assert sorted([await here.wait(), await task]) == [0, 1]
        task = asyncio.create_task(there.wait())
        await waiting(there, 1)
        await here.abort()
        with pytest.raises(BrokenBarrierError):
            await task
        await here.reset()
    await met.wait()
    assert not await there.broken()
    # The id of a call that ended all waits stays for ten minutes; nothing else does.
    keys = barrier_keys(name)
    await until(lambda: client.exists(keys["arrivals"], keys["deadlines"]), lambda count: count == 0)
    await until(lambda: client.hvals(keys["outcomes"]), lambda seen: len(seen) == 4)


async def test_a_repeated_reset_does_not_break_those_who_came_since(
    through_proxy: Session, proxy: Proxy, other: Session, name: str
) -> None:
    here, there = Barrier(through_proxy, name, 2), Barrier(other, name, 2)
    await here.reset()
    met = proxy.drop_nth(1, Fate.DROP_AFTER, lambda command: command.name == "barrier_end")
    early = asyncio.create_task(there.wait())
    await waiting(there, 1)
    resetting = asyncio.create_task(here.reset())
    await met.wait()
    with proxy.refusing():
        with pytest.raises(BrokenBarrierError):
            await early
        since = asyncio.create_task(there.wait())
        await waiting(there, 1)
    await resetting
    assert sorted([await here.wait(), await since]) == [0, 1]


async def test_a_cancelled_wait_leaves_no_trace_wherever_it_is(
    through_proxy: Session, proxy: Proxy, other: Session, client: Any, name: str
) -> None:
    here, there = Barrier(through_proxy, name, 2), Barrier(other, name, 2)
    async with proxy.holding("barrier_wait") as hold:  # its first question is not answered
        task = asyncio.create_task(here.wait())
        await hold.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await waiting(there, 0)
    task = asyncio.create_task(here.wait())
    await waiting(there, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await waiting(there, 0)
    tasks = [asyncio.create_task(one.wait()) for one in (here, there)]
    assert sorted(await asyncio.gather(*tasks)) == [0, 1]
    keys = barrier_keys(name)
    await until(lambda: client.exists(keys["arrivals"], keys["outcomes"]), lambda count: count == 0)
