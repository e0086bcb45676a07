"""The benchmark measures what it says, with real processes and few messages; and its peers can be installed."""

import inspect
import json
import re
import socket
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from benchmarks import __main__ as benchmark
from benchmarks import bare, ours
from benchmarks.contest import Contest
from benchmarks.contestants import BenchmarkError, names, peers, us
from benchmarks.leases.__main__ import FOLDER as LOCKS
from benchmarks.leases.__main__ import contestants as lock_contestants
from benchmarks.leases.workloads import WORKLOADS as LOCK_WORKLOADS
from benchmarks.overview import overview
from benchmarks.report import markdown, summary
from benchmarks.workloads import WORKLOADS
from shared.local.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = ROOT / "benchmarks" / "peers"
PUBLISHED = ROOT / "docs" / "performance"


@pytest.fixture
def contest(tmp_path: Path) -> Iterator[Contest]:
    """A server of its own: it is emptied again and again."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with EmbeddedServer(tmp_path, port=port) as server:
        contest = Contest(server.url)
        yield contest
        contest.client.close()


def few(name: str) -> Any:
    found = next(workload for workload in WORKLOADS if workload.name == name)
    return replace(found, count=300)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_what_replicas_cost_is_measured(contest: Contest) -> None:
    result = benchmark.measure(contest, [replace(few("replicas"), count=1000)], us(), 1)
    (measured,) = (workload["values"] for workload in result["workloads"])
    ways = ("one after the other", "100 in flight", "put_many", "drain")
    assert set(measured) == {f"ours, {way}, replicas={replicas}" for way in ways for replicas in (0, 1)}
    assert all(entry["per_second"][0] > 0 for entry in measured.values())


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_every_figure_of_a_round_is_measured(contest: Contest) -> None:
    # Enough waves of the 100 slots that the last one, which nobody waits for, does not count.
    chosen = [*(few(name) for name in ("drain", "put_many", "latency")), replace(few("io"), count=3000)]
    result = benchmark.measure(contest, chosen, us(), 1)
    drain, *puts, latency, io = (workload["values"] for workload in result["workloads"])
    for measured in (drain["ours"], drain["bare list"]):
        assert all(measured[word][0] > 0 for word in ("per_second", "worker_cpu_per_10000", "peak_mb"))
    # The bare list takes 100 at a time; nobody pays a call for each message.
    assert 3 / 300 <= drain["bare list"]["calls_a_message"][0] < 0.1
    assert 3 / 300 <= drain["ours"]["calls_a_message"][0] < 0.2
    assert all(measured["per_second"][0] > 0 for put in puts for measured in put.values())
    assert 0 < latency["ours"]["p50_ms"][0] <= latency["ours"]["p99_ms"][0]
    # A slot cannot end more than one handler in 5 ms.
    assert 0 < io["ours"]["per_second"][0] <= 100 / 0.005 * 1.1
    assert result["server"].startswith("valkey ")
    assert "| ours |" in markdown(result)
    assert "Bulk put" in summary(result)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_results_are_waited_for_alone_and_together(contest: Contest) -> None:
    result = benchmark.measure(contest, [few("submit")], us(), 1)
    (measured,) = (workload["values"] for workload in result["workloads"])
    assert set(measured) == {"ours", "bare list"}
    assert 0 < measured["ours"]["p50_ms"][0] <= measured["ours"]["p99_ms"][0]
    assert measured["ours"]["per_second"][0] > 0


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_several_workers_share_what_there_is(contest: Contest) -> None:
    workers = few("workers")
    entries = [entry for entry in workers.entries(us(), {}) if entry.name == "ours, 2 workers"]
    assert entries[0].run(contest, entries[0].contestant, 2000)["per_second"] > 0


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_every_figure_of_a_lock_is_measured(contest: Contest) -> None:
    few_of_each = [replace(workload, count=count) for workload, count in zip(LOCK_WORKLOADS, (50, 3, 50), strict=True)]
    result = benchmark.measure(contest, few_of_each, lock_contestants(), 1, rates={})
    cycle, hand_over, reads = (workload["values"] for workload in result["workloads"])
    assert set(cycle) == {"ours", "bare scripts", "bare scripts, thin client"}
    assert set(hand_over) == {"ours", "bare scripts"}
    assert set(reads) == {"ours"}
    assert all(measured["per_second"][0] > 0 for measured in (*cycle.values(), *reads.values()))
    assert all(0 < measured["p50_ms"][0] <= measured["p99_ms"][0] for measured in hand_over.values())
    assert "1.00x" in markdown(result)


def test_the_figures_in_the_documents_are_those_of_the_result() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    marks = re.findall(r"^<!-- end of (.*) -->$", page, re.MULTILINE)
    assert set(marks) == {published.stem for published in PUBLISHED.glob("*.json")}
    for mark in marks:
        found = json.loads((PUBLISHED / f"{mark}.json").read_text())
        assert f"<!-- {mark} -->\n{markdown(found, level=3)}<!-- end of {mark} -->" in page


def test_the_overview_is_of_the_published_figures_and_in_true_proportion() -> None:
    field = json.loads((PUBLISHED / "field.json").read_text())
    picture = (PUBLISHED / "overview.svg").read_text(encoding="utf-8")
    assert picture == overview(field)
    names = re.findall(r'class="name[^>]*>([^<]+)<', picture)
    widths = [float(width) for width in re.findall(r'<rect class="\w+"[^>]* width="([\d.]+)"', picture)]
    values = {name: median(each["per_second"]) for name, each in field["workloads"][0]["values"].items()}
    assert set(names) == set(values) >= {"arq", "celery", "dramatiq", "rq", "saq", "taskiq"}
    longest = max(values.values())
    assert widths == [pytest.approx(max(1.0, 560 * values[name] / longest), abs=0.1) for name in names]


def test_the_project_offers_what_any_harness_needs() -> None:
    for adapter in (ours, bare):
        assert inspect.iscoroutinefunction(adapter.open)
        assert list(inspect.signature(adapter.put).parameters) == ["c", "i", "ts", "body"]
        assert inspect.iscoroutinefunction(adapter.put_many)
        assert list(inspect.signature(adapter.work).parameters)[:2] == ["url", "hook"]


@pytest.mark.parametrize(
    "folder,own", [(PEERS, set()), (LOCKS, {"__main__", "bare", "child", "ours", "thin", "workloads"})]
)
def test_every_peer_has_an_adapter_and_a_lock(folder: Path, own: set[str]) -> None:
    wanted = tomllib.loads((folder / "requirements.toml").read_text())
    assert set(wanted) == {path.stem for path in folder.glob("*.lock")}
    assert set(wanted) == {path.stem for path in folder.glob("*.py")} - {"__init__"} - own
    assert set(names(folder)) == set(wanted)


def test_an_unknown_peer_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="no peer is called nobody"):
        peers(["nobody"])


@pytest.mark.parametrize("arguments", [["nothing"], ["--rounds", "0"], ["--peers", "nobody"]])
def test_a_wrong_argument_ends_with_code_2_and_a_reason(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = benchmark.main(arguments)
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert arguments[-1] in said or "--rounds" in said
