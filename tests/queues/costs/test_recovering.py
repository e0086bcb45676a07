"""What very many dead sessions held, and what one held that held very much, comes back in its order."""

import asyncio
from typing import Any

import pytest

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.grown import hold
from tests.instruments.inside import ask_at, member_at, session_id_at, session_of
from tests.instruments.inside import recover as recover_by
from tests.instruments.proxy import Proxy
from tests.instruments.server_time import GENEROUS, timed
from tests.instruments.waiting import until

MANY = 30_000
DEAD = "deaddeaddead.1.10000"


async def returned(client: Any) -> list[int]:
    return [int(entry[:16]) for entry in await client.lrange("{jobs}:returned", 0, -1)]


async def test_what_a_session_held_comes_back_in_order_though_it_is_30_000(client: Any, queue: Queue[int]) -> None:
    await hold(client, DEAD, MANY)
    async with timed(client) as calls:
        await recover_by(session_of(queue), "jobs", DEAD)
    assert calls.worst < GENEROUS
    assert 1 + MANY / 500 + MANY / 2500 < len(calls.milliseconds) < 1 + MANY / 500 + MANY / 1000
    assert await returned(client) == list(range(1, MANY + 1))
    assert await client.zscore("{jobs}:sessions", DEAD) is None
    assert (await queue.statistics()).recovered_total == MANY


async def test_a_session_that_holds_30_000_gives_them_back_in_order_at_its_end(
    server: EmbeddedServer, client: Any
) -> None:
    async with Session.open(server.url, ttl=60) as session:
        queue = Queue(session, "jobs", int)
        await queue.statistics()
        await hold(client, session_id_at(queue), MANY)
        async with timed(client) as calls:
            await member_at(queue).leave(b"")
    assert calls.worst < GENEROUS
    assert await returned(client) == list(range(1, MANY + 1))


async def test_what_a_session_holds_is_read_2000_receipts_at_a_time(client: Any, queue: Queue[int]) -> None:
    await hold(client, DEAD, MANY)
    keys, cursor, found = {"leased": f"{{jobs}}:leased:{DEAD}".encode()}, b"0", set()
    async with timed(client) as calls:
        while True:
            cursor, joined = await ask_at(queue, "receipts", cursor, keys=keys)
            part = {joined[at : at + 45] for at in range(0, len(joined), 45)}
            assert len(part) < 2600
            found |= part
            if cursor == b"0":
                break
    assert calls.worst < GENEROUS
    assert len(found) == MANY


async def test_what_comes_to_a_session_while_it_is_recovered_comes_back_too(client: Any, queue: Queue[int]) -> None:
    """And what two recover at once comes back once."""
    await hold(client, DEAD, 1500)
    other = asyncio.create_task(recover_by(session_of(queue), "jobs", DEAD))
    await recover_by(session_of(queue), "jobs", DEAD)
    await other
    assert sorted(await returned(client)) == list(range(1, 1501))
    assert (await queue.statistics()).recovered_total == 1500


async def test_who_recovers_is_done_when_others_have_recovered_the_rest(
    client: Any, queue: Queue[int], proxy: Proxy
) -> None:
    async with Session.open(proxy.url, ttl=60) as session:
        await Queue(session, "jobs", int).statistics()
        await recover_by(session, "jobs", DEAD)  # brings the script along
        await hold(client, DEAD, 1500)
        async with proxy.holding("recover") as reply:
            recovering = asyncio.create_task(recover_by(session, "jobs", DEAD))
            await reply.arrived.wait()
            await recover_by(session_of(queue), "jobs", DEAD)
        async with asyncio.timeout(5):
            await recovering
    assert await returned(client) == list(range(1, 1501))


async def test_a_client_that_names_nothing_recovers_200_a_call(client: Any, queue: Queue[int]) -> None:
    await hold(client, DEAD, 1100)
    keys = {**member_at(queue).keys, "leased": f"{{jobs}}:leased:{DEAD}".encode()}
    answers = [await ask_at(queue, "recover", DEAD, keys=keys) for _ in range(6)]
    assert [tuple(answer[:2]) for answer in answers] == [(200, left) for left in range(900, 0, -200)] + [(100, 0)]
    assert await returned(client) == list(range(1, 1101))


async def test_one_take_that_finds_dead_sessions_recovers_all_of_them(client: Any, proxy: Proxy) -> None:
    dead = [f"{number:012d}.1.10000" for number in range(1, 151)]
    async with Session.open(proxy.url, ttl=60) as session:
        queue = Queue(session, "jobs", int)
        await queue.statistics()
        for number, each in enumerate(dead):
            await hold(client, each, 2, first=1 + 2 * number)
        getting = asyncio.create_task(queue.get())
        await until(lambda: client.zcard("{jobs}:sessions"), lambda count: count == 1)
        async with await getting as item:
            assert item
        assert proxy.count("recover") <= len(dead) + 1  # the first one brings the script along
        assert proxy.count("settle_and_take") < 10
    assert len(await returned(client)) == 299


@pytest.fixture
def url(server: EmbeddedServer) -> str:
    """The proxy stands before the test's own server."""
    return server.url
