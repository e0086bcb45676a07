"""Each campaign, for a short time; `./run campaign` runs them for long."""

from pathlib import Path

import pytest
import redis

from shared.local.embedded import EmbeddedServer
from tests.campaigns.campaign import CAMPAIGNS, run
from tests.campaigns.cluster import CLUSTERS, run_cluster
from tests.campaigns.length import Length
from tests.campaigns.locking import LOCKS, run_locks
from tests.campaigns.turns import run_turns
from tests.instruments.durable import DurableServer


@pytest.mark.slow  # five processes each
@pytest.mark.parametrize("name", CAMPAIGNS)
async def test_a_campaign_finds_nothing_against_the_product(tmp_path: Path, name: str) -> None:
    if reason := CAMPAIGNS[name].why_not():
        pytest.skip(reason)
    verdict = await run(CAMPAIGNS[name], Length(seconds=3.0, strikes=3), 1, tmp_path)
    assert verdict.against == ()
    assert verdict.totals.acknowledged > 1000
    assert sum(verdict.struck.values()) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("name", LOCKS)
async def test_a_lock_campaign_finds_nothing_against_the_product(tmp_path: Path, name: str) -> None:
    if reason := LOCKS[name].why_not():
        pytest.skip(reason)
    verdict = await run_locks(LOCKS[name], Length(seconds=3.0, strikes=4), 1, tmp_path)
    assert verdict.against == ()
    assert verdict.stays > 30  # a machine that is starved does not do much in this time


@pytest.mark.slow
@pytest.mark.parametrize("name", CLUSTERS)
async def test_a_cluster_campaign_finds_nothing_against_the_product(tmp_path: Path, name: str) -> None:
    verdict = await run_cluster(CLUSTERS[name], Length(seconds=3.0, strikes=2), 1, tmp_path)
    assert verdict.against == ()
    assert verdict.totals.acknowledged > 100
    assert sum(verdict.struck.values()) >= 2


@pytest.mark.slow
async def test_nobody_comes_in_out_of_turn(tmp_path: Path) -> None:
    verdict = await run_turns(Length(seconds=3.0, strikes=4), 1, tmp_path)
    assert verdict.against == ()
    assert verdict.known > 30  # as above


def test_a_durable_server_is_durable_before_anybody_can_kill_a_client_of_it(tmp_path: Path) -> None:
    with DurableServer(tmp_path / "server") as server:
        server.kill()
        EmbeddedServer.start(server)
        with redis.Redis.from_url(server.url) as client:
            assert client.config_get("appendfsync") == {"appendfsync": "always"}
