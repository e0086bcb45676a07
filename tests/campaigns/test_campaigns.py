"""Each campaign, for a short time; `./run campaign` runs them for long."""

import subprocess
from pathlib import Path

import pytest
import redis

from shared.local.embedded import EmbeddedServer
from tests.campaigns.__main__ import main
from tests.campaigns.campaign import CAMPAIGNS, run
from tests.campaigns.cluster import CLUSTERS, run_cluster
from tests.campaigns.length import Length
from tests.campaigns.locking import LOCKS, run_locks
from tests.campaigns.sentinel import run_sentinel
from tests.campaigns.suites import ROOT, SUITES
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
async def test_failovers_under_a_fleet_find_nothing_against_the_product(tmp_path: Path) -> None:
    verdict = await run_sentinel(Length(seconds=3.0, strikes=4), 1, tmp_path)
    assert verdict.against == ()
    assert verdict.totals.acknowledged > 100
    assert sum(verdict.struck.values()) >= 4


@pytest.mark.slow
async def test_nobody_comes_in_out_of_turn(tmp_path: Path) -> None:
    verdict = await run_turns(Length(seconds=3.0, strikes=4), 1, tmp_path)
    assert verdict.against == ()
    assert verdict.known > 30  # as above


@pytest.mark.parametrize("names", [["leases"], ["kills", "clock"], []], ids=str)
def test_a_seed_that_decides_nothing_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], names: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*names, "--seed", "7"])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert (names or ["leases"])[-1] in said.err


@pytest.mark.parametrize("name", [name for name, suite in SUITES.items() if suite.is_seeded])
def test_a_suite_that_takes_a_seed_hears_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    environments: list[dict[str, str]] = []

    def pretend(command: list[str], *, env: dict[str, str], **_: object) -> "subprocess.CompletedProcess[bytes]":
        environments.append(env)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("tests.campaigns.__main__.commit_of", str)
    monkeypatch.setattr(subprocess, "run", pretend)
    assert main([name, "--seed", "7"]) == 0
    assert [environment["WEIR_CAMPAIGN_SEED"] for environment in environments] == ["7"]
    sources = [(ROOT / file).read_text(encoding="utf-8") for file in SUITES[name].files if file.endswith(".py")]
    assert all("tests.instruments.chance" in source for source in sources)


def test_a_durable_server_is_durable_before_anybody_can_kill_a_client_of_it(tmp_path: Path) -> None:
    with DurableServer(tmp_path / "server") as server:
        server.kill()
        EmbeddedServer.start(server)
        with redis.Redis.from_url(server.url) as client:
            assert client.config_get("appendfsync") == {"appendfsync": "always"}
