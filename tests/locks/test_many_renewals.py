"""A process that is well loses nothing, however much it holds: each name is renewed at a time of its own."""

import asyncio
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from shared.concurrency import Lease, Lock, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.distance import distant
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

pytestmark = [pytest.mark.timing, pytest.mark.timeout(180)]


async def acquired(session: Session, name: str, count: int, ttl: float) -> list[Lease]:
    """Leases of so many names of their own."""
    found: list[Lease] = []
    for first in range(0, count, 500):
        numbers = range(first, min(first + 500, count))
        found += await asyncio.gather(*(Lock(session, f"{name}-{n}", ttl=ttl).acquire() for n in numbers))
    return found


def lost(leases: list[Lease]) -> int:
    return sum(lease.seconds_left <= 0 for lease in leases)


@pytest.mark.measured
@pytest.mark.parametrize("many,ttl", [(1000, 2.0), pytest.param(10_000, 10.0, marks=pytest.mark.slow)])
async def test_many_leases_at_10_ms_of_round_trip_lose_none(
    server: EmbeddedServer, tmp_path: Path, many: int, ttl: float
) -> None:
    async with distant(server.url, tmp_path, 0.010) as url, Session.open(url) as session:
        leases = await acquired(session, "many", many, ttl)
        ends_at = time.monotonic() + 2.2 * ttl
        while time.monotonic() < ends_at:
            await asyncio.sleep(0.5)
            assert lost(leases) == 0


@pytest.mark.slow
@pytest.mark.measured
async def test_a_short_lease_beside_3000_others_is_not_lost(server: EmbeddedServer, tmp_path: Path) -> None:
    async with distant(server.url, tmp_path, 0.020) as url, Session.open(url) as session:
        leases = await acquired(session, "many", 3000, 10.0)
        leases += await acquired(session, "short", 1, 3.0)
        ends_at = time.monotonic() + 6.0
        while time.monotonic() < ends_at:
            await asyncio.sleep(0.1)
            assert lost(leases) == 0


async def test_a_server_without_our_scripts_gets_each_once(client: Redis, proxy: Proxy, name: str) -> None:
    """And not one for each name, a round trip each: the first renewal after a restart took longer than a lease."""
    async with Session.open(proxy.url) as session:
        leases = await acquired(session, name, 200, 10.0)
        before = min(inside.hold_of(lease).deadline for lease in leases)
        await client.script_flush()
        proxy.commands.clear()
        inside.renew_now(session)

        async def earliest() -> float:
            return min(inside.hold_of(lease).deadline for lease in leases)

        await until(earliest, lambda seen: seen > before)
        renewals = [command for command in proxy.commands if command.name == "renew_holds"]
        assert [command.words[:2] for command in proxy.commands if command.name == "SCRIPT"] == [(b"SCRIPT", b"LOAD")]
        assert len(renewals) < 2 * len(leases) + 2
        await asyncio.gather(*(lease.release() for lease in leases))
