"""Three queues in a row while processes are killed: what messages bring about happens exactly once.

`./run campaign stages` has more of them go through, with a kill every second.
"""

import asyncio
import os
from typing import Final

import pytest
from redis.asyncio import Redis

from examples.stages.many_processes import run, staffed
from examples.stages.shop import Shop, expected, order
from shared.concurrency import Session
from tests.instruments import figures
from tests.instruments.waiting import until

ORDERS: Final = int(os.environ.get("WEIR_CAMPAIGN_ORDERS", "0"))

pytestmark = pytest.mark.timeout(60 + ORDERS / 100)


@pytest.mark.slow
async def test_nothing_is_lost_or_doubled_between_three_queues_while_processes_are_killed(url: str) -> None:
    count, kill_every, least = (ORDERS, 1.0, ORDERS // 10_000) if ORDERS else (3000, 0.1, 2)
    counts, kills, dead = await run(url, count, kill_every)
    assert counts == expected(count)
    assert dead == 0
    assert kills >= least
    figures.count("orders", count)
    figures.count("kills", kills)


@pytest.mark.slow  # ten processes
async def test_a_process_that_has_something_to_say_lives_on(url: str, name: str) -> None:
    async with Session.open(url) as session, Redis.from_url(url) as client:
        shop = Shop.of(session, name)
        with staffed(url, name) as staff:
            await staff.at_work()
            await shop.orders.pause()
            await shop.orders.put(order(0))
            # A session that is overdue: who recovers what it held logs that.
            gone = "a-dead-one--.1.1000"
            entry = await client.lpop(f"{{{name}}}/orders:pending")
            await client.hset(f"{{{name}}}/orders:leased:{gone}", entry[:45], entry)
            await client.zadd(f"{{{name}}}/orders:sessions", {gone: 1})
            await shop.orders.resume()
            await until(shop.booked.statistics, lambda now: now.acked_total == 1)
            # Those at work on it end in order now; one that could not log has come to another end.
            await shop.orders.shutdown()
            codes = [await asyncio.to_thread(staff.processes[f"price {number}"].wait) for number in range(2)]
        assert codes == [0, 0]
