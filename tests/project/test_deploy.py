"""What deploy/ holds names only metrics that there are, and is read by Prometheus' own tool where that is installed."""

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from shared.concurrency import Queue, Session
from shared.concurrency.session.session import process_of
from shared.metrics.service_collector import ServiceCollector
from tests.instruments.command_line import ROOT
from tests.shared.test_metrics import NAMES

DEPLOY: Final = ROOT / "deploy"
OF_QUEUES: Final = {
    f"weir_queue_{word}"
    for word in (
        "pending", "leased", "delayed", "dead", "puts_waiting", "at_limits", "demand", "maxsize", "paused", "consumers",
        "oldest_pending_seconds", "shares", "largest_share", "largest_share_oldest_seconds",
    )
}  # fmt: skip
"""The monitor's."""
HISTOGRAMS: Final = {name for name in NAMES if name.endswith("_seconds")}
SERIES: Final = {
    *OF_QUEUES, "weir_connection_up", "weir_build_info",
    *(f"{name}_total" for name in NAMES - HISTOGRAMS),
    *(f"{name}_{end}" for name in HISTOGRAMS for end in ("bucket", "sum", "count")),
}  # fmt: skip


def dashboard() -> Any:
    return json.loads((DEPLOY / "grafana" / "dashboards" / "weir.json").read_text(encoding="utf-8"))


def expressions() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def named(text: str) -> set[str]:
    return set(re.findall(r"(?<!:)\bweir_\w+\b(?!:)", text))


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    asked = named(" ".join(expressions()))
    assert asked <= SERIES
    assert asked >= OF_QUEUES
    # Each that a service has is somewhere on it.
    assert not {name for name in NAMES if not any(series.startswith(name) for series in asked)}


def test_the_rules_ask_for_metrics_that_there_are() -> None:
    text = (DEPLOY / "prometheus" / "weir.rules.yml").read_text(encoding="utf-8")
    asked = named("\n".join(re.findall(r"expr: (.*)", text)))
    assert asked
    assert asked <= SERIES


def test_the_panels_stand_beside_each_other() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    covered: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not covered & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        covered |= cells
        assert panel["description"] or panel["title"]


def test_every_alert_is_tested() -> None:
    rules, tests = (
        (DEPLOY / "prometheus" / name).read_text(encoding="utf-8") for name in ("weir.rules.yml", "weir.rules.test.yml")
    )
    assert set(re.findall(r"alert: (\w+)", rules)) == set(re.findall(r"alertname: (\w+)", tests))


def test_the_page_says_for_each_alert_what_to_do_and_for_no_other() -> None:
    rules = (DEPLOY / "prometheus" / "weir.rules.yml").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(Weir\w+)` \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    assert sorted(rows) == sorted(re.findall(r"alert: (\w+)", rules))


@pytest.fixture
def promtool() -> str:
    """Prometheus' own tool; a test is skipped where it is not installed."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: it comes with Prometheus")
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"), ("check", "rules", "weir.rules.yml"),
        ("test", "rules", "weir.rules.test.yml"),
    ],
)  # fmt: skip
def test_prometheus_reads_its_files(promtool: str, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [promtool, *arguments], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_reads_the_expressions_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    asked = [each.replace('queue=~"$queue"', 'queue=~".*"') for each in expressions()]
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(asked)]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", "panels.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_what_a_service_answers_is_as_prometheus_wants_it(
    promtool: str, session: Session, queue: Queue[int]
) -> None:
    process_of(session).calls.tally.measure()
    await queue.put(1)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServiceCollector(session, [queue]))
    text = generate_latest(registry)
    assert f'weir_put_wait_seconds_count{{queue="{queue.name}"}} 1.0'.encode() in text
    done = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
