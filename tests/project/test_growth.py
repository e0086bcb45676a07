"""Growth: every step is measured through a real link and real queues, and drawn where it belongs."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from benchmarks import growth, suite
from benchmarks.contest import Contest
from benchmarks.contestants import us
from benchmarks.curve import curve, draw, steps
from benchmarks.distance import distant
from benchmarks.growth import GROWTH, TRIPS_MS, bodies, pending, sessions, trips
from benchmarks.report import markdown
from shared.local.embedded import EmbeddedServer
from tools import publish

PUBLISHED = Path(__file__).resolve().parent.parent.parent / "docs" / "performance"


@pytest.fixture
def contest(tmp_path: Path) -> Iterator[Contest]:
    """A server of its own: it is emptied again and again."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with EmbeddedServer(tmp_path, port=port) as server:
        contest = Contest(server.url)
        yield contest
        contest.client.close()


def grown(**values: dict[str, list[float]]) -> dict[str, Any]:
    return {"name": "growth_x", "title": "Things", "values": {f"ours, {name}": each for name, each in values.items()}}


def timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def test_growth_runs_only_where_it_is_named() -> None:
    assert not {one.name for one in suite.chosen([])} & {one.name for one in GROWTH}
    assert [one.name for one in suite.chosen(["growth"])] == [one.name for one in GROWTH]
    assert [one.name for one in suite.chosen(["growth_trip", "one"])] == ["one", "growth_trip"]


def test_every_step_is_an_entry_of_ours() -> None:
    (trip,) = (workload for workload in GROWTH if workload.name == "growth_trip")
    assert [entry.name for entry in trip.entries(us(), {})] == [f"ours, {step:,} ms" for step in TRIPS_MS]


def test_a_step_is_read_from_its_name_or_from_the_round_trip_that_was_measured() -> None:
    by_name = grown(**{"1,000 pending": {"per_second": [3.0, 1.0, 2.0]}, "10 pending": {"per_second": [5.0]}})
    assert steps(by_name) == ([(10.0, 5.0), (1000.0, 2.0)], [])
    by_trip = grown(**{"5 ms": {"per_second": [9.0], "trip_ms": [5.4], "server_cpu_per_10000": [0.5]}})
    assert steps(by_trip) == ([(5.4, 9.0)], [(5.4, 20_000.0)])


def test_a_curve_falls_where_the_figures_do_and_has_the_limit_of_the_server() -> None:
    workload = grown(
        **{
            f"{step} things": {"per_second": [value], "server_cpu_per_10000": [0.05]}
            for step, value in ((1, 10_000.0), (10, 1000.0), (100, 100.0))
        }
    )
    picture = curve(workload, "a run")
    ours, limit = (
        [
            tuple(map(float, point.split(",")))
            for point in re.findall(rf'class="{kind}" points="([^"]+)"', picture)[0].split()
        ]
        for kind in ("ours", "limit")
    )
    assert [y for _, y in ours] == sorted(y for _, y in ours)
    assert ours[1][0] - ours[0][0] == pytest.approx(ours[2][0] - ours[1][0], abs=0.2)
    assert len({y for _, y in limit}) == 1
    assert all(there[1] < here[1] for there, here in zip(limit, ours, strict=True))  # above them
    assert "1.00 things: 10,000" in picture


def test_the_published_curves_are_of_the_published_figures(tmp_path: Path) -> None:
    result = json.loads((PUBLISHED / "growth.json").read_text())
    drawn = draw(result, tmp_path)
    assert {path.stem for path in drawn} == {workload.name for workload in GROWTH}
    for path in drawn:
        assert path.read_text(encoding="utf-8") == (PUBLISHED / path.name).read_text(encoding="utf-8")


@pytest.mark.parametrize("mark", ["extras", "growth"])
def test_the_figures_in_the_page_are_those_of_the_result(mark: str) -> None:
    result = json.loads((PUBLISHED / f"{mark}.json").read_text())
    page = (PUBLISHED.parent / "performance.md").read_text(encoding="utf-8")
    assert f"<!-- {mark} -->\n{markdown(result, level=3)}<!-- end of {mark} -->" in page


def test_publishing_growth_draws_its_curves_and_no_other_result_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = tmp_path / "docs" / "performance"
    pages.mkdir(parents=True)
    (tmp_path / "docs" / "performance.md").write_text("<!-- growth -->\n<!-- end of growth -->\n", encoding="utf-8")
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    monkeypatch.setattr(publish, "PAGES", pages)
    measured = tmp_path / "measured"
    measured.mkdir()
    result = (PUBLISHED / "growth.json").read_text()
    (measured / "result.json").write_text(result)
    publish.publish({"extras": measured})
    assert not list(pages.glob("*.svg"))
    publish.publish({"growth": measured})
    assert {path.stem for path in pages.glob("*.svg")} == {workload.name for workload in GROWTH}
    assert markdown(json.loads(result), level=3) in (tmp_path / "docs" / "performance.md").read_text(encoding="utf-8")


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_loop_of_a_distant_server_wakes_within_a_fraction_of_a_millisecond(contest: Contest) -> None:
    with distant(contest, 1) as far, redis.Redis.from_url(far.url) as client:
        waits = [timed(client.ping) for _ in range(50)]
    assert 0.001 <= min(waits) < 0.002  # in whole milliseconds it would be two at least


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_every_kind_of_growth_is_measured(contest: Contest, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = us()[0]
    monkeypatch.setattr(growth, "_SESSIONS_A_PROCESS", 2)  # three sessions are two processes
    for run in (sessions(3), pending(500), bodies(50_000)):
        measured = run(contest, ours, 400)
        assert measured["per_second"] > 0
        assert measured["server_cpu_per_10000"] > 0
    far = trips(5)(contest, ours, 400)
    assert far["trip_ms"] >= 5  # no byte arrives before its time
    assert far["per_second"] > 0
    assert far["inflight_per_second"] > 0
