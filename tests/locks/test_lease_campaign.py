"""Several processes with hundreds of readers and writers; kill -9, SIGSTOP past the deadline; a referee outside Redis.

`./run campaign leases` runs the first for longer, `./run test --only-slow tests/locks/test_lease_campaign.py` the
storms.
"""

import os
from pathlib import Path
from typing import Final

import pytest

from tests.instruments.distance import distant
from tests.instruments.lease_campaign import Storm, contended
from tests.instruments.referee import Visit, overlaps

SECONDS: Final = float(os.environ.get("WEIR_CAMPAIGN_SECONDS", "4"))
SLOW_SECONDS: Final = max(SECONDS, 12.0)

pytestmark = [pytest.mark.timing, pytest.mark.timeout(SLOW_SECONDS * 2 + 180)]


@pytest.mark.parametrize("seconds", [SECONDS, pytest.param(SLOW_SECONDS, marks=pytest.mark.slow)])
async def test_a_writer_is_always_alone_and_stale_writes_are_refused(
    url: str, name: str, tmp_path: Path, seconds: float
) -> None:
    await contended(url, url, name, tmp_path / "referee.sqlite", Storm(seconds))


@pytest.mark.slow
async def test_a_storm_of_5000_waiters(url: str, name: str, tmp_path: Path) -> None:
    """Each reader has a hold of its own, so they all wait at the server."""
    storm = Storm(SLOW_SECONDS, tasks=1667, ttl=3.0, own_reads=True, stops_writers=False, visits_a_second=10)
    await contended(url, url, name, tmp_path / "referee.sqlite", storm)


@pytest.mark.slow
async def test_a_storm_with_20_ms_of_round_trip(url: str, name: str, tmp_path: Path) -> None:
    async with distant(url, tmp_path, 0.020) as far:
        await contended(url, far, name, tmp_path / "referee.sqlite", Storm(8.0, ttl=1.0, visits_a_second=10))


@pytest.mark.slow
async def test_a_storm_of_0_3_s_beside_leases_of_30_s(url: str, name: str, tmp_path: Path) -> None:
    """Each process holds hundreds of names of 30 s beside the one of 0.3 s that all contend for."""
    storm = Storm(8.0, ttl=0.3, beside=300, visits_a_second=10)
    await contended(url, url, name, tmp_path / "referee.sqlite", storm)


def test_the_referee_sees_an_overlap() -> None:
    reader, writer = Visit(1, "r", 1, 10, 20), Visit(2, "w", 2, 15, 30)
    assert overlaps([reader, writer], {}) == [(reader, writer)]
    assert overlaps([reader, writer], {1: [12]}) == []
    assert overlaps([reader, Visit(2, "r", 2, 15, 30)], {}) == []
    assert overlaps([Visit(1, "w", 1, 10, 14), writer], {}) == []


def test_the_referee_excuses_who_was_starved_and_nobody_else() -> None:
    reader, writer = Visit(1, "r", 1, 10, 40), Visit(2, "w", 2, 30, 50)
    assert overlaps([reader, writer], {}, {1: [(20, 35)]}) == []
    assert overlaps([reader, writer], {}, {2: [(20, 35)]}) == []
    assert overlaps([reader, writer], {}, {1: [(20, 25)]}, slack=5) == []
    assert overlaps([reader, writer], {}, {1: [(20, 25)], 3: [(0, 100)]}) == [(reader, writer)]
    assert overlaps([reader, writer], {}, {1: [(35, 60)]}) == [(reader, writer)]
