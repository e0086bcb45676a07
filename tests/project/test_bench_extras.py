"""The workloads beside the streams of messages: what effects, keys, results and a start cost is measured for real."""

import ast
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks import __main__ as benchmark
from benchmarks.contest import Contest
from benchmarks.contestants import ROOT, names, scripts, us
from benchmarks.extras import HAVE_PRIORITIES
from benchmarks.report import BARE_SCRIPTS, IMPORTS, markdown, workloads
from benchmarks.suite import SUITE
from benchmarks.workloads import Workload
from shared.local.embedded import EmbeddedServer

PEERS: Final = ROOT / "benchmarks" / "peers"


@pytest.fixture
def contest(tmp_path: Path) -> Iterator[Contest]:
    """A server of its own: it is emptied again and again."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with EmbeddedServer(tmp_path, port=port) as server:
        contest = Contest(server.url)
        yield contest
        contest.client.close()


def few(name: str, count: int) -> Workload:
    return replace(next(workload for workload in SUITE if workload.name == name), count=count)


def test_every_workload_has_a_name_of_its_own() -> None:
    names = [workload.name for workload in SUITE]
    assert len(set(names)) == len(names)


def keywords(peer: str) -> dict[str, set[str]]:
    """Function -> its keywords; peers are not installed where the tests run."""
    tree = ast.parse((PEERS / f"{peer}.py").read_text())
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name: {word.arg for word in node.args.kwonlyargs} for node in found}


def test_every_peer_but_repid_waits_for_results_and_its_worker_is_told_to_keep_them() -> None:
    adapters = {name: keywords(name) for name in names()}
    waiting = {name for name, found in adapters.items() if "submit" in found}
    assert waiting == set(adapters) - {"repid"}
    for name in waiting:
        assert "results" in adapters[name]["open"] & adapters[name]["work"], name


def test_every_peer_with_priorities_can_be_asked_for_one() -> None:
    for name, told in HAVE_PRIORITIES.items():
        found = keywords(name)
        assert "quiet" in found["open"], name
        assert set(told) <= found["work"], name


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_effects_and_keys_are_measured_beside_the_plain_drain(contest: Contest) -> None:
    result = benchmark.measure(contest, [few("effects", 300), few("keyed", 300)], us(), 1)
    effects, keyed = workloads(result)
    assert set(effects.values) == {"ours, without effects", "ours, one hincrby", "ours, 20 fields of a hash"}
    assert set(keyed.values) == {"ours, without keys", "ours, 10,000 keys", "ours, 1,000 keys", "ours, 100 keys"}
    assert all(measured["per_second"][0] > 0 for one in (effects, keyed) for measured in one.values.values())


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_priorities_shares_and_limits_are_measured_beside_the_plain_drain(contest: Contest) -> None:
    (found,) = workloads(benchmark.measure(contest, [few("ordered", 300)], us(), 1))
    limits = ("1,000 limits, never reached", "1,000 limits of 2 at once")
    ways = ("without", "three priorities", "100 shares", *limits)
    assert set(found.values) == {f"ours, {way}" for way in ways}
    assert all(measured["per_second"][0] > 0 for measured in found.values.values())


@pytest.mark.parametrize(
    "ways,flows",
    [
        ({}, set()),
        ({"priorities": 3}, {b"0", b"2"}),  # the middle one is that of all others
        ({"shares": 2}, {b"1 n0", b"1 n1"}),
        ({"limits": 2, "at_once": 1}, {b"1   n0", b"1   n1"}),
    ],
)
def test_what_a_bulk_put_asks_of_the_way_is_in_every_entry(
    contest: Contest, ways: dict[str, int], flows: set[bytes]
) -> None:
    contest.filled(us()[0], 6, **ways)
    read: dict[bytes, Any] = {b"list": contest.client.lrange, b"zset": contest.client.zrange}
    kinds = [(key, contest.client.type(key)) for key in contest.client.scan_iter()]
    entries = b"".join(entry for key, kind in kinds if kind in read for entry in read[kind](key, 0, -1))
    assert {flow.rstrip() for flow in re.findall(rb'"flow":"([^"]*)"', entries)} == flows


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_behind_a_flood_a_message_of_its_own_share_or_of_high_priority_is_early(contest: Contest) -> None:
    (found,) = workloads(benchmark.measure(contest, [few("quiet", 300)], us(), 1))
    places = {name: measured["place"][0] for name, measured in found.values.items()}
    assert places["ours, as any other"] == 300
    assert max(places["ours, of its own share"], places["ours, of high priority"]) <= 20


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_each_acknowledgement_of_a_drain_with_effects_adds_to_every_field(contest: Contest) -> None:
    ours = us()[0]
    contest.filled(ours, 200)
    # The worker reports from the last handler: its acknowledgement may not be sent yet.
    with contest.running(ours, "work", 200, effects=3) as worker:
        worker.report()
        worker.report()
        while contest.client.hvals("{bench}:counts") != [b"200"] * 3:
            pass


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_results_come_from_the_bare_list_too(contest: Contest) -> None:
    (measured,) = workloads(benchmark.measure(contest, [few("submit", 300)], us(), 1))
    assert set(measured.values) == {"ours", "bare list"}
    assert all(found["per_second"][0] > 0 for found in measured.values.values())


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_service_is_started_and_its_libraries_alone(contest: Contest) -> None:
    result = benchmark.measure(contest, [few("start", 1)], us(), 1)
    (measured,) = workloads(result)
    assert set(measured.values) == {"ours", IMPORTS}
    alone, ours = measured.main(IMPORTS), measured.main("ours")
    assert alone is not None
    assert ours is not None
    assert 0 < alone < ours  # it imports them too, and handles a message
    assert IMPORTS not in (measured.best_peer() or "")
    assert f"x the {IMPORTS} (less is better)" in markdown(result)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_put_alone_is_measured_beside_its_script_and_the_worker_handles_what_that_puts(contest: Contest) -> None:
    (measured,) = workloads(benchmark.measure(contest, [few("one", 50)], us(), 1))
    assert set(measured.values) == {"ours", "bare list", BARE_SCRIPTS}
    assert all(found["per_second"][0] > 0 for found in measured.values.values())
    contest.empty()
    contest.puts(scripts(), "one", 50)
    with contest.running(us()[0], "work", 50) as worker:
        worker.report()
        assert worker.report()["seconds"] > 0


def test_the_peak_of_a_process_is_its_own_and_not_that_of_the_one_that_started_it() -> None:
    measured = "from benchmarks.child import report; report()"
    large = f"import subprocess, sys; kept = b'x' * 200_000_000; subprocess.run([sys.executable, '-c', {measured!r}], check=True)"
    done = subprocess.run([sys.executable, "-c", large], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 1_000 < json.loads(done.stdout)["peak_kb"] < 100_000
