"""One session with many queues: what is said under each name does not wait for the answers under the others."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.concurrency import Queue, Session
from tests.instruments.inside import renew_now, session_of
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

MANY = 120


def names(name: str) -> list[str]:
    return [f"{name}-{number}" for number in range(MANY)]


@pytest.fixture
async def queues(proxy: Proxy, name: str) -> AsyncIterator[list[Queue[int]]]:
    async with Session.open(proxy.url, ttl=60) as session:
        queues = [Queue(session, each, int) for each in names(name)]
        await asyncio.gather(*(queue.put(1) for queue in queues))
        yield queues


async def announced(proxy: Proxy) -> int:
    return proxy.count("announce")


async def test_all_queues_are_announced_at_once_on_a_new_connection(proxy: Proxy, queues: list[Queue[int]]) -> None:
    async with proxy.holding("announce") as hold:
        proxy.cut()
        await hold.arrived.wait()
        async with asyncio.timeout(5):
            await until(lambda: announced(proxy), lambda count: count >= MANY)
    async with asyncio.timeout(5):
        await queues[-1].put(2)


async def test_all_sessions_are_renewed_at_once(proxy: Proxy, queues: list[Queue[int]]) -> None:
    def renewals() -> int:
        return sum(command.name == "renew" for command in proxy.commands)

    async with proxy.holding("renew", of_session=False) as hold:
        before = renewals()
        renew_now(session_of(queues[0]))
        await hold.arrived.wait()
        async with asyncio.timeout(5):
            await until(lambda: asyncio.sleep(0, renewals()), lambda count: count >= before + 100)
    # What is left goes with the next portion.
    await until(lambda: asyncio.sleep(0, renewals()), lambda count: count >= before + MANY)
