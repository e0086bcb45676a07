"""`./run bench --compare COMMIT`: what counts as no worse, and a real comparison of a commit with itself."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import compare
from benchmarks.compare import Figure

ROOT = Path(__file__).resolve().parent.parent.parent


def bench(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=cwd, env={"PYTHONPATH": str(cwd), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip


def status() -> str:
    return subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607  # wherever it is


@pytest.mark.parametrize(
    "word,this,commit,again,worse,holds",
    [
        ("per_second", 97.0, 100.0, 100.0, 3.0, True),
        ("per_second", 96.9, 100.0, 100.0, 3.1, False),
        ("per_second", 96.9, 100.0, 96.0, 3.1, True),  # the commit differs from itself by more
        ("per_second", 96.9, 100.0, 104.0, 3.1, True),
        ("per_second", 120.0, 100.0, 100.0, -20.0, True),
        ("p99_ms", 1.03, 1.0, 1.0, 3.0, True),
        ("p99_ms", 1.04, 1.0, 1.0, 4.0, False),
        ("p99_ms", 0.5, 1.0, 1.0, -50.0, True),
        ("worker_cpu_per_10000", 0.2, 0.1, 0.1, 100.0, False),
    ],
)
def test_no_worse_means_neither_by_so_many_percent_nor_by_the_spread(
    word: str, this: float, commit: float, again: float, worse: float, *, holds: bool
) -> None:
    figure = Figure("drain", word, this, commit, again)
    assert figure.worse == pytest.approx(worse)
    assert figure.holds(3.0 + 1e-9) is holds


def test_every_figure_that_all_three_have_is_compared_variants_too() -> None:
    values = {"per_second": [1.0, 3.0, 2.0], "p50_ms": [0.0]}
    workers = {f"{name}, 2 workers": values for name in (compare.THIS, "abc", "abc again")}
    drain = {"this": values, "abc": values, "abc again": {**values, "per_second": [4.0]}}
    result = {"workloads": [{"name": "drain", "values": drain}, {"name": "workers", "values": workers}]}
    found = compare.figures(result, "abc")
    assert found == [
        Figure("drain", "per_second", 2.0, 2.0, 4.0),
        Figure("workers, 2 workers", "per_second", 2.0, 2.0, 2.0),
    ]
    assert found[0].spread == pytest.approx(100)
    said = compare.report(found, "abc", 3)
    assert "| 1.000 |" in said
    assert said.endswith("this is no worse than abc by more than 3 % or the spread of abc against itself\n")
    bad = compare.report([Figure("drain", "per_second", 1.0, 2.0, 2.0)], "abc", 3)
    assert "worse by 50.0 %" in bad
    assert "1 of 1 figures are worse" in bad


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_commit_is_measured_beside_itself_and_leaves_the_checkout_alone(tmp_path: Path) -> None:
    before = status()
    # Every figure of a run this short is noise: only what is said counts here.
    done = bench("one", "--compare", "HEAD", "--rounds", "1", "--worse-than", "10000", "--into", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert re.search(r"valkey .*1 rounds: this \(as it stands\), HEAD \([0-9a-f]{12}\), HEAD again", done.stdout)
    assert "| one: per second |" in done.stdout
    result = json.loads((tmp_path / "compare.json").read_text())
    (workload,) = result["workloads"]
    assert set(workload["values"]) == {"this", "HEAD", "HEAD again"}
    assert all(measured["per_second"][0] > 0 for measured in workload["values"].values())
    after = status()
    assert after == before


@pytest.mark.parametrize(
    "arguments,problem",
    [
        (("--compare", "no-such-commit"), "there is no commit no-such-commit in this repository"),
        (("--compare", "--worse-than=1"), "expected one argument"),
        (("--compare", "HEAD", "--peers", "arq"), "--compare cannot be combined with --peers or --plots"),
    ],
)
def test_a_mistake_is_said_in_a_line(arguments: tuple[str, ...], problem: str) -> None:
    done = bench("one", *arguments)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
