"""Leaders: one at a time, another one when it is killed or stopped, and none that writes late."""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from shared.concurrency import ConcurrencyError, LeaseLost, Lock, Session, leader
from tests.instruments import lease_processes
from tests.instruments.lease_waiters import forget, waiters
from tests.instruments.processes import Process, running
from tests.instruments.referee import Referee
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)

TTL = 1.0


@pytest.mark.slow
async def test_another_process_leads_when_the_leader_is_killed_or_stopped(
    url: str, session: Session, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "referee.sqlite"
    Referee.create(path)
    referee, lock, tokens = Referee(path, os.getpid()), Lock(session, name), list[int]()
    async with AsyncExitStack() as stack:
        candidates = [
            await stack.enter_async_context(running(lease_processes.candidate, url, name, TTL, str(path)))
            for _ in range(4)
        ]
        await waiters(lock, 3)
        leading = await leads(lock, candidates)
        tokens.append(await leading.said("leads"))
        for number in range(2):
            await until(lambda: written(referee), lambda token: token == tokens[-1])
            await leading.kill()
            candidates.remove(leading)
            await waiters(lock, 2 - number)
            leading = await leads(lock, candidates)
            tokens.append(await leading.said("leads"))
        # Stopped past its deadline: it does not know that another one leads, and goes on where it was.
        await until(lambda: written(referee), lambda token: token == tokens[-1])
        await stop(leading, referee)
        (other,) = [each for each in candidates if each is not leading]
        tokens.append(await other.said("leads"))
        await until(lambda: written(referee), lambda token: token == tokens[-1])
        leading.cont()
        await leading.said("lost")
        await waiters(lock, 1)  # it stands again
        await other.kill()
        tokens.append(await leading.said("leads", 2))
    assert tokens == sorted(set(tokens))
    assert referee.accepted_out_of_order() == 0
    assert referee.refused(stale=False) == 0
    referee.close()


async def leads(lock: Lock, candidates: "list[Process]") -> Process:
    """The process that holds the lock."""
    (holder,) = (await until(lock.statistics, lambda now: bool(now.holders))).holders
    (found,) = [each for each in candidates if each.pid == holder.pid]
    return found


async def stop(leading: Process, referee: Referee) -> None:
    """Stop it, but not in the middle of a write, which would keep the others from theirs."""
    while True:
        leading.stop()
        await until(leading.state, lambda state: state == "T")
        if referee.can_be_written():
            return
        leading.cont()


async def written(referee: Referee) -> int:
    return referee.last_token()


async def test_a_term_that_is_lost_cancels_the_body_and_the_next_one_is_stood_for(
    session: Session, client: Any, name: str
) -> None:
    tokens, ends = [], []
    async for term in leader(session, name):
        async with term as lease:
            tokens.append(lease.token)
            if len(tokens) == 3:
                break
            try:
                await forget(client, session, name)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ends.append("cancelled")
                if len(tokens) == 2:
                    lease.check()  # raises LeaseLost in its place
                raise
    assert ends == ["cancelled", "cancelled"]
    assert tokens == sorted(set(tokens))
    assert not await Lock(session, name).locked()


async def test_a_body_that_ends_lets_the_others_lead(session: Session, other: Session, name: str) -> None:
    order: list[str] = []

    async def stand(of: Session, who: str) -> None:
        terms = 0
        async for term in leader(of, name):
            async with term:
                order.append(who)
                terms += 1
                if terms < 3:  # the other one stands meanwhile
                    await until(Lock(of, name).statistics, lambda now: bool(now.waiters) or len(order) == 5)
            if terms == 3:
                break

    await asyncio.gather(stand(session, "a"), stand(other, "b"))
    assert order in (["a", "b"] * 3, ["b", "a"] * 3)


async def test_what_the_body_raises_ends_it_and_gives_up_the_lead(session: Session, name: str) -> None:
    with pytest.raises(KeyError, match="a test"):
        async for term in leader(session, name):
            async with term:
                raise KeyError("a test")
    assert not await Lock(session, name).locked()


async def test_what_the_body_raises_is_seen_though_the_lead_was_lost(session: Session, client: Any, name: str) -> None:
    with pytest.raises(LeaseLost) as lost:
        async for term in leader(session, name):
            async with term as lease:
                watching = lease.lost
                await forget(client, session, name)
                try:
                    await watching
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    raise KeyError("a test") from None
    assert isinstance(lost.value.__cause__, KeyError)


async def test_a_loss_of_something_else_is_not_swallowed(session: Session, name: str) -> None:
    with pytest.raises(LeaseLost, match="another"):
        async for term in leader(session, name):
            async with term:
                raise LeaseLost("another")
    assert not await Lock(session, name).locked()


async def test_it_can_be_cancelled_while_it_leads_and_while_it_waits(
    session: Session, other: Session, name: str
) -> None:
    async def stand(of: Session, inside: asyncio.Event) -> None:
        async for term in leader(of, name):
            async with term:
                inside.set()
                await asyncio.Event().wait()

    inside = asyncio.Event()
    leading = asyncio.create_task(stand(session, inside))
    await inside.wait()
    waiting = asyncio.create_task(stand(other, asyncio.Event()))
    await waiters(Lock(session, name), 1)
    for task in (waiting, leading):
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
    await until(Lock(session, name).statistics, lambda now: not now.holders and not now.waiters)


async def test_bad_input_and_a_closed_session_are_refused(url: str, session: Session, name: str) -> None:
    with pytest.raises(ValueError, match="a name is"):
        leader(session, "")
    with pytest.raises(ValueError, match="ttl is"):
        leader(session, name, ttl=0)
    async with Session.open(url) as closed:
        terms = leader(closed, name)
    with pytest.raises(ConcurrencyError, match="the session is closed"):
        async for term in terms:
            async with term:
                raise AssertionError("it is closed")
