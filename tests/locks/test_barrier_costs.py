"""What a barrier costs the server: no call goes along all who wait in more than a few milliseconds."""

import asyncio
from typing import Any

import pytest
import redis.asyncio

from shared.concurrency import Session
from shared.concurrency.locks.leases.keys import barrier_keys
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.server_time import GENEROUS

pytestmark = pytest.mark.timeout(180)


@pytest.mark.slow
async def test_no_call_is_long_when_5000_meet(server: EmbeddedServer, name: str) -> None:
    keys = barrier_keys(name)
    async with (
        Session.open(server.url) as session,
        Session.open(server.url) as other,
        redis.asyncio.Redis.from_url(server.url) as looking,
    ):

        async def arrive(count: int) -> list[str]:
            of = (session, other)
            ids = [inside.new_id_of(of[number % 2], ttl=600.0) for number in range(count)]
            asks = (inside.ask(session, "barrier_wait", keys, waiter, 5000, "") for waiter in ids)
            assert await asyncio.gather(*asks) == [[b"waits"]] * count
            return ids

        took: list[float] = []
        for fetches in (True, False):
            for script, more in (("barrier_wait", (5000, "")), ("barrier_end", (0,))) * 2:
                ids = [*await arrive(4999), inside.new_id_of(session)]
                before = await spent(looking)
                await inside.ask(session, script, keys, ids[-1], *more)
                took.append(await spent(looking) - before)
                if fetches:
                    await asyncio.gather(*(inside.ask(session, "barrier_leave", keys, waiter, 0) for waiter in ids))
        assert max(took[:4]) < GENEROUS / 2, took
        assert max(took[4:]) < GENEROUS, took  # those before them have fetched nothing


async def spent(client: Any) -> float:
    """Milliseconds of its processor that the server has had so far: what else the machine does is not counted."""
    seen = await client.info("cpu")
    return float(1000 * (seen["used_cpu_user_main_thread"] + seen["used_cpu_sys_main_thread"]))
