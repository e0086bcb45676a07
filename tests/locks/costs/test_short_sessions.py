"""Sessions that come and go leave nothing at a lease, a condition or a barrier that grows with how many they were."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from shared.concurrency import Barrier, Condition, Lock, ReadersWritersLease, Semaphore, Session
from shared.concurrency.locks.leases.keys import barrier_keys, condition_keys
from tests.instruments.waiting import until

NAME: Final = "short"
DEAD: Final = 250
"""Waiters of processes that were killed."""


async def sizes(client: Any) -> dict[bytes, int]:
    """How much there is under each key of the name; tombstones of what was in doubt aside, which last for minutes."""
    count = {b"hash": client.hlen, b"zset": client.zcard, b"list": client.llen, b"string": client.strlen}
    return {key: await count[await client.type(key)](key) async for key in client.scan_iter(match=f"*{NAME}*")}


async def hold(session: Session) -> None:
    """Each kind of hold, and each under the name of its own kind."""
    async with Lock(session, f"{NAME}-lock"), Semaphore(session, f"{NAME}-permits", 2):
        catalog = ReadersWritersLease(session, f"{NAME}-catalog")
        async with catalog.read():
            pass
        async with catalog.write():
            pass


async def wait_in_vain(session: Session) -> None:
    """A request for what somebody else holds, cancelled."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02), Lock(session, f"{NAME}-held"):
            pass


async def close_while_holding(session: Session) -> None:
    """The session ends before its body: it gives back what it holds."""
    await Lock(session, f"{NAME}-left").acquire()


@pytest.mark.parametrize("use", [hold, wait_in_vain, close_while_holding])
async def test_sessions_leave_nothing(
    url: str, client: Any, session: Session, use: Callable[[Session], Awaitable[None]]
) -> None:
    async def come_and_go() -> None:
        async with Session.open(url) as short:
            await use(short)

    async with Lock(session, f"{NAME}-held"):
        await come_and_go()
        before = await sizes(client)
        for _ in range(20):
            await come_and_go()
        assert await sizes(client) == before


async def waits_at_a_condition(session: Session) -> None:
    condition = Condition(session, NAME)
    async with condition:
        await condition.wait()


async def waits_at_a_barrier(session: Session) -> None:
    await Barrier(session, NAME, 1000).wait()


@pytest.mark.parametrize(
    "wait, keys, places, deadlines",
    [
        (waits_at_a_condition, condition_keys(NAME), "waiters", "alive"),
        (waits_at_a_barrier, barrier_keys(NAME), "arrivals", "deadlines"),
    ],
)
async def test_killed_ones_are_forgotten_by_those_who_wait_after_them(
    client: Any, session: Session, *, wait: Callable[[Session], Awaitable[None]], keys: Any, places: str, deadlines: str
) -> None:
    """Though nobody is ever notified, and no barrier is ever complete."""
    dead = {f"{number:012d}.1.10000": number for number in range(DEAD)}
    await client.zadd(keys[places], dead)
    await client.zadd(keys[deadlines], dict.fromkeys(dead, 1))
    for _ in range(3):
        waiting = asyncio.ensure_future(wait(session))
        await until(lambda: client.zcount(keys[deadlines], 2, "+inf"), lambda alive: alive == 1)
        waiting.cancel()
        await asyncio.wait({waiting})
        await until(lambda: client.zcount(keys[deadlines], 2, "+inf"), lambda alive: alive == 0)
    assert await client.zcard(keys[deadlines]) == 0
    assert await client.zcard(keys[places]) == 0
