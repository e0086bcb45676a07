"""A process that is well loses nothing, however much it holds: each name is renewed at a time of its own."""

import asyncio
import time
from pathlib import Path

import pytest

from shared.concurrency import Lease, Lock, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.distance import distant

pytestmark = [pytest.mark.timing, pytest.mark.timeout(120)]


async def acquired(session: Session, name: str, count: int, ttl: float) -> list[Lease]:
    """Leases of so many names of their own."""
    found: list[Lease] = []
    for first in range(0, count, 500):
        numbers = range(first, min(first + 500, count))
        found += await asyncio.gather(*(Lock(session, f"{name}-{n}", ttl=ttl).acquire() for n in numbers))
    return found


def lost(leases: list[Lease]) -> int:
    return sum(lease.seconds_left <= 0 for lease in leases)


@pytest.mark.parametrize("many", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_many_leases_at_10_ms_of_round_trip_lose_none(server: EmbeddedServer, tmp_path: Path, many: int) -> None:
    async with distant(server.url, tmp_path, 0.010) as url, Session.open(url) as session:
        leases = await acquired(session, "many", many, 10.0)
        ends_at = time.monotonic() + 22.0
        while time.monotonic() < ends_at:
            await asyncio.sleep(0.5)
            assert lost(leases) == 0


@pytest.mark.parametrize("ttl", [1.0, pytest.param(0.3, marks=pytest.mark.slow)])
async def test_a_short_lease_beside_3000_others_is_not_lost(server: EmbeddedServer, tmp_path: Path, ttl: float) -> None:
    """A lease of 0.3 s is lost after 0.15 s without a turn for its process, so that needs a quiet machine."""
    async with distant(server.url, tmp_path, ttl / 50) as url, Session.open(url) as session:
        leases = await acquired(session, "many", 3000, 10.0)
        leases += await acquired(session, "short", 1, ttl)
        ends_at = time.monotonic() + 10.0
        while time.monotonic() < ends_at:
            await asyncio.sleep(0.1)
            assert lost(leases) == 0
