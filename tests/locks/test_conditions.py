"""Conditions: who is woken, in which order, and who keeps the place in the line."""

import asyncio
import sys
import time

import pytest
from redis.asyncio import Redis

from shared.concurrency import Condition, Lock, Session
from shared.concurrency.locks.leases.keys import condition_keys
from tests.instruments import inside, lease_processes
from tests.instruments.lease_waiters import waiters
from tests.instruments.processes import running
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)

BUSY = 3.5
"""Seconds for which a process does not run; its time to live is 10."""


async def waiting(client: Redis, name: str, count: int) -> None:
    await until(lambda: client.zcard(condition_keys(name)["waiters"]), lambda there: there == count)


async def passed(seconds: float) -> None:
    """Until so many seconds have passed, by the clock that servers have."""
    end = time.monotonic() + seconds

    async def now() -> float:
        return time.monotonic()

    await until(now, lambda at: at >= end)


class Line:
    """Tasks that wait under one condition, and the order in which they went on."""

    def __init__(self, client: Redis, name: str) -> None:
        self._client = client
        self._name = name
        self.order: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def join(self, condition: Condition) -> None:
        number = len(self.tasks)

        async def wait() -> None:
            async with condition:
                await condition.wait()
                self.order.append(number)

        self.tasks.append(asyncio.create_task(wait()))
        await waiting(self._client, self._name, len(self.tasks))

    async def end(self) -> None:
        async with asyncio.timeout(100):
            await asyncio.gather(*self.tasks)


async def test_waiters_of_one_process_go_on_in_the_order_in_which_they_came(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    condition, line, alive = Condition(session, name), Line(client, name), condition_keys(name)["alive"]
    for _ in range(3):
        await line.join(condition)
        await passed(0.3)
    (first,) = await client.zrange(condition_keys(name)["waiters"], 0, 0)
    before = await client.zscore(alive, first)
    # It has looked again, and those behind it have not.
    await until(lambda: client.zscore(alive, first), lambda score: score != before)
    elsewhere = Condition(other, name)
    async with elsewhere:
        await elsewhere.notify(3)
    await line.end()
    assert line.order == [0, 1, 2]


@pytest.mark.slow
async def test_a_waiter_in_a_process_that_is_busy_is_not_forgotten(url: str, session: Session, name: str) -> None:
    condition = Condition(session, name)
    async with running(lease_processes.wait_under, url, name, 10.0) as process:
        await process.said("waits")
        await until(condition.statistics, lambda now: not now.holders)  # it has given back the lock, and waits
        process.stop()
        await passed(BUSY)
        async with condition:
            await condition.notify_all()
        process.cont()
        await process.said("woken")


@pytest.mark.slow  # another waiter who is busy is looked at above
async def test_a_process_that_is_busy_keeps_its_place_in_the_line_of_a_lock(
    url: str, session: Session, name: str
) -> None:
    lock = Lock(session, name)
    lease = await lock.acquire()
    async with running(lease_processes.lock, url, name, 10.0) as process:
        await waiters(lock, 1)
        process.stop()
        await passed(BUSY)
        behind = asyncio.create_task(lock.acquire())
        line = [each.owner for each in (await waiters(lock, 2)).waiters]
        assert line[1] == inside.owner_of(session) != line[0]
        await lease.release()
        process.cont()
        token = await process.said("holds")
        await process.kill()
    after = await behind
    assert after.token > token
    await after.release()


@pytest.mark.parametrize("fate", [Fate.DROP_AFTER, Fate.DROP_BEFORE])
async def test_a_notify_that_is_sent_again_wakes_nobody_else(
    proxy: Proxy, other: Session, client: Redis, name: str, fate: Fate
) -> None:
    first = Condition(other, name)
    async with first:
        await first.notify()  # a script that the server has not seen yet is sent twice
    line = Line(client, name)
    for _ in range(3):
        await line.join(Condition(other, name))
    async with Session.open(proxy.url) as session:
        condition = Condition(session, name)
        async with condition:
            met = proxy.drop_nth(1, fate, lambda command: command.name == "condition_notify")
            await condition.notify()
        assert met.is_set()
        assert proxy.count("condition_notify") == 2
        await line.tasks[0]
        await waiting(client, name, 2)
        async with condition:
            await condition.notify_all()
    await line.end()


async def test_a_wait_in_another_task_is_refused_and_says_what_to_use(session: Session, name: str) -> None:
    condition = Condition(session, name)
    async with condition:
        with pytest.raises(RuntimeError, match=r"asyncio\.timeout"):
            await asyncio.create_task(condition.wait())
        expected = RuntimeError if sys.version_info < (3, 12) else TimeoutError
        with pytest.raises(expected):
            await asyncio.wait_for(condition.wait(), 0.2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await condition.wait()
