"""What a live session is leased and its process does not hold goes back in order, however much it is, or it holds."""

import asyncio
from typing import Any

import pytest

from shared.concurrency import Delivery, Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.emptying import take
from tests.instruments.grown import hold
from tests.instruments.proxy import Proxy
from tests.instruments.server_time import GENEROUS, timed
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until

MANY = 20_000
HELD = 2400
"""More than a resync says in one call."""


@pytest.fixture
def url(server: EmbeddedServer) -> str:
    """The proxy stands before the test's own server."""
    return server.url


async def all_taken(queue: Queue[int], count: int) -> list[Delivery[int]]:
    await queue.put_many(range(count))
    return await asyncio.gather(*(queue.get() for _ in range(count)))


def forget_some(queue: Queue[int], held: list[Delivery[int]]) -> tuple[list[int], list[Delivery[int]]]:
    """Have the process know no more of every third; their numbers, and the others."""
    for delivery in held[::3]:
        inside.forget(queue, delivery)
    return [delivery.item for delivery in held[::3]], [each for at, each in enumerate(held) if at % 3]


async def test_what_the_server_alone_knows_of_goes_back_in_order_though_it_is_20_000(
    client: Any, queue: Queue[int]
) -> None:
    await hold(client, inside.session_id_at(queue), MANY)
    await queue.pause()
    async with timed(client) as calls:
        inside.resync_needed(queue)
        await until(queue.statistics, lambda seen: seen.leased == 0, seconds=90)
    assert len(calls.milliseconds) > MANY / 500 + MANY / 2500
    assert calls.worst < GENEROUS
    entries = await client.lrange("{jobs}:returned", 0, -1)
    assert [int(entry[:16]) for entry in entries] == list(range(1, MANY + 1))


@pytest.mark.slow
async def test_a_process_that_holds_much_keeps_it_and_gives_back_the_rest(client: Any, queue: Queue[int]) -> None:
    unknown, kept = forget_some(queue, await all_taken(queue, HELD))
    await queue.pause()
    async with timed(client) as calls:
        inside.resync_needed(queue)
        await until(queue.statistics, lambda seen: seen.leased == len(kept))
    assert calls.worst < GENEROUS
    await queue.resume()
    assert await take(queue, len(unknown)) == unknown
    await asyncio.gather(*(delivery.ack() for delivery in kept))
    assert (await queue.statistics()).acked_total == HELD


@pytest.mark.slow
@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER])
@pytest.mark.parametrize(
    "step, nth", [("settle_and_take", 1), ("receipts", 1), ("receipts", 2), ("settle_and_take", 2)]
)
async def test_a_connection_that_breaks_meanwhile_changes_nothing(
    proxy: Proxy, *, step: str, nth: int, fate: Fate
) -> None:
    async with Session.open(proxy.url, ttl=60) as session:
        queue = Queue(session, "jobs", int)
        unknown, kept = forget_some(queue, await all_taken(queue, HELD))
        inside.resync_needed(queue)
        await until(queue.statistics, lambda seen: seen.leased == len(kept))  # the scripts are known
        assert await take(queue, len(unknown)) == unknown
        unknown, kept = forget_some(queue, kept + await all_taken(queue, HELD))
        met = proxy.drop_nth(nth, fate, lambda command: command.name == step)
        inside.resync_needed(queue)
        await until(queue.statistics, lambda now: now.leased == len(kept))
        assert met.is_set()
        assert await take(queue, len(unknown)) == unknown
        await asyncio.gather(*(delivery.ack() for delivery in kept))
        assert (await queue.statistics()).leased == 0
