"""What a process holds and does not know of goes back: in its old order, and though the server refuses for now."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, QueueEmpty, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.emptying import take
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

COUNT = 60


async def test_much_of_it_goes_back_in_order(session: Session, name: str) -> None:
    queue = Queue(session, name, str)
    # As long as that the server keeps what is held in a hash without an order.
    items = [f"{number:02} {'x' * 100}" for number in range(COUNT)]
    await queue.put_many(items)
    for _ in range(COUNT):
        await inside.take_unheard(queue)
    inside.resync_needed(queue)
    assert await take(queue, COUNT) == items


async def test_it_goes_back_though_the_call_that_says_so_is_refused_for_now(server: EmbeddedServer, name: str) -> None:
    async with Session.open(server.url) as session, Redis.from_url(server.url) as client:
        queue = Queue(session, name, int)
        await queue.put_many([1, 2])
        await inside.take_unheard(queue)

        async def refusals() -> int:
            errors = await client.info("errorstats")
            return int(errors.get("errorstat_NOREPLICAS", {"count": 0})["count"])

        await client.config_set("min-replicas-to-write", 1)
        inside.resync_needed(queue)
        await until(refusals, lambda count: count > 0)
        await client.config_set("min-replicas-to-write", 0)
        assert await take(queue, 2, seconds=5) == [1, 2]


@pytest.mark.parametrize("how", ["ack", "nack", "dead letter"])
async def test_what_a_former_session_settles_is_not_given_back_by_the_same_call(
    proxy: Proxy, queue: Queue[int], name: str, how: str
) -> None:
    async with Session.open(proxy.url) as far:
        there = Queue(far, name, int)
        await queue.put(1)
        delivery = await there.get()
        later, dead = partial(delivery.nack, delay=60), partial(delivery.dead_letter, "x")
        ways: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "ack": delivery.ack,
            "nack": later,
            "dead letter": dead,
        }
        with proxy.frozen():
            settling = asyncio.create_task(ways[how]())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            inside.pass_deadline(far, name)  # by its own clock only: at the server the session lives
            proxy.cut()  # nobody knows whether the call has run: it goes again, and resyncs
        async with asyncio.timeout(40):
            await settling
        with pytest.raises(QueueEmpty):
            await queue.get_nowait()
    seen = await queue.statistics()
    assert (seen.acked_total, seen.delayed, seen.dead) == (how == "ack", how == "nack", how == "dead letter")
