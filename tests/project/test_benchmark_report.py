"""The benchmark's report: medians and ratios are right, the best stands first, what is missing is said."""

from typing import Any

import pytest

from benchmarks.report import Workload, markdown, number, summary, workloads


def workload(name: str, better: str, figure: str, **values: Any) -> dict[str, Any]:
    unit = "ms" if figure == "p50_ms" else "messages a second"
    start = {"name": name, "title": name.capitalize(), "figure": figure, "unit": unit, "better": better}
    return start | {"note": f"about {name}", "values": {key.replace("_", " "): value for key, value in values.items()}}


def drain() -> dict[str, Any]:
    return workload(
        "drain",
        "more",
        "per_second",
        ardiq={"per_second": [5000.0, 3000.0, 4000.0], "peak_mb": [60.0, 61.0, 62.0]},
        ours={"per_second": [81000.0, 78000.0, 80000.0], "calls_a_message": [0.03, 0.02, 0.021]},
        arq={"per_second": [300.0, 340.0, 320.0]},
        bare_list={"per_second": [100000.0, 99000.0, 123456.0]},
    )


def latency() -> dict[str, Any]:
    return workload(
        "latency",
        "less",
        "p50_ms",
        arq={"p50_ms": [250.0], "p99_ms": [500.0]},
        saq={"p50_ms": [1.5], "p99_ms": [4.0]},
        ours={"p50_ms": [0.5], "p99_ms": [1.0]},
    )


def scale() -> dict[str, Any]:
    found = workload("scale", "more", "per_second")
    names = {"ours, 1 worker": 100.0, "ours, 2 workers": 190.0, "ours, 4 workers": 300.0, "bare list, 2 workers": 200.0}
    return found | {"values": {name: {"per_second": [value]} for name, value in names.items()}}


def result(*found: dict[str, Any]) -> dict[str, Any]:
    return {
        "date": "2026-11-24",
        "machine": {"cpu": "Some CPU", "cores": 2, "python": "3.11.7", "system": "Linux 6.1"},
        "server": "redis 7.0.15",
        "rounds": 3,
        "versions": {"ours": "0.1.0", "bare list": "", "ardiq": "1.2.0"},
        "workloads": list(found),
    }


def read(found: dict[str, Any]) -> Workload:
    (only,) = workloads(result(found))
    return only


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0"),
        (0.0, "0"),
        (0.01234, "0.0123"),
        (0.5, "0.500"),
        (1, "1.00"),
        (9.996, "10.0"),
        (17.24, "17.2"),
        (999.4, "999"),
        (999.6, "1,000"),
        (78_049, "78,000"),
        (1_234_567, "1,230,000"),
    ],
)
def test_a_number_has_three_digits_and_separators(value: float, text: str) -> None:
    assert number(value) == text


def test_the_whole_report() -> None:
    assert markdown(result(drain())).splitlines() == [
        "- Date: 2026-11-24",
        "- Machine: Some CPU, 2 cores, Python 3.11.7, Linux 6.1",
        "- Server: redis 7.0.15",
        "- Versions: ours 0.1.0, ardiq 1.2.0",
        "- Rounds: 3; each figure is the median (least to most) of all rounds",
        "- Bare list: a list without guarantees, the limit of what a queue on a list could reach",
        "",
        "## Drain",
        "",
        "about drain",
        "",
        "| contestant | messages a second | against ours | peak memory, MB | server calls a message |",
        "|---|---:|---:|---:|---:|",
        "| bare list | 100,000 (99,000 to 123,000) | 1.25x | - | - |",
        "| ours | 80,000 (78,000 to 81,000) | 1.00x | - | 0.0210 (0.0200 to 0.0300) |",
        "| ardiq | 4,000 (3,000 to 5,000) | 0.05x | 61.0 (60.0 to 62.0) | - |",
        "| arq | 320 (300 to 340) | 0.004x | - | - |",
        "",
        "ours is 20.0x the best peer (ardiq), 0.80x the bare list",
    ]


def test_where_less_is_better_the_least_is_first_and_the_best_peer() -> None:
    said = markdown(result(latency())).splitlines()
    assert "| contestant | p50, ms | against ours | p99, ms |" in said
    assert [line.split(" | ")[0].strip("| ") for line in said if line.startswith("| ")][1:] == ["ours", "saq", "arq"]
    assert "| arq | 250 (250 to 250) | 500x | 500 (500 to 500) |" in said
    assert said[-1] == "ours is 0.33x the best peer (saq) (less is better)"
    assert not any("list" in line for line in said)


def test_variants_of_ours_are_no_peers_and_each_has_its_own_bare_list() -> None:
    said = markdown(result(scale())).splitlines()
    assert "| contestant | messages a second | against ours, 1 worker |" in said
    assert "| ours, 4 workers | 300 (300 to 300) | 3.00x |" in said
    assert said[-1] == "ours, 2 workers is 0.95x the bare list, 2 workers"


def test_a_plain_bare_list_is_the_limit_of_every_variant() -> None:
    found = scale()
    found["values"]["bare list"] = {"per_second": [400.0]}
    assert markdown(result(found)).splitlines()[-1] == (
        "ours, 1 worker is 0.25x the bare list; ours, 2 workers is 0.95x the bare list, 2 workers; "
        "ours, 4 workers is 0.75x the bare list"
    )


def test_the_bare_scripts_are_a_limit_beside_the_bare_list_and_what_takes_its_place_is_none() -> None:
    names = {"ours": 80.0, "bare list": 160.0, "bare scripts": 100.0, "bare scripts, thin client": 120.0, "repid": 90.0}
    found = workload("one", "more", "per_second") | {"values": {name: {"per_second": [x]} for name, x in names.items()}}
    assert read(found).best_peer() == "repid"
    assert markdown(result(found)).splitlines()[-1] == (
        "ours is 0.89x the best peer (repid), 0.50x the bare list, 0.80x the bare scripts"
    )


def test_a_further_figure_has_a_verdict_of_its_own() -> None:
    values = {"ours": {"p50_ms": [2.0], "per_second": [30.0]}, "saq": {"p50_ms": [4.0], "per_second": [40.0]}}
    found = workload("submit", "less", "p50_ms") | {"values": values, "also": [["per_second", "more"]]}
    assert markdown(result(found)).splitlines()[-3:] == [
        "ours is 0.50x the best peer (saq) (less is better)",
        "",
        "per second: ours is 0.75x the best peer (saq)",
    ]


def test_what_the_others_are_compared_with_has_no_verdict() -> None:
    places = {"ours, as any other": 2000.0, "ours, of high priority": 2.0, "bullmq, of high priority": 1.0}
    values = {name: {"place": [place]} for name, place in places.items()}
    found = workload("quiet", "less", "place") | {"values": values, "baseline": "as any other"}
    assert markdown(result(found)).splitlines()[-1] == (
        "ours, of high priority is 2.00x the best peer (bullmq, of high priority) (less is better)"
    )
    assert "2,000x" not in summary(result(found))


def test_the_summary_has_a_line_for_each_workload() -> None:
    assert summary(result(drain(), latency(), scale())).splitlines() == [
        "| workload | ours | bare list | best peer | ours to best peer | ours to bare list |",
        "|---|---:|---:|---:|---:|---:|",
        "| Drain, messages a second | 80,000 | 100,000 | 4,000 (ardiq) | 20.0x | 0.80x |",
        "| Latency, ms (less is better) | 0.500 | - | 1.50 (saq) | 0.33x | - |",
        "| Scale, messages a second | 100 (1 worker), 190 (2 workers), 300 (4 workers) | 200 (2 workers) | - | - | 0.95x (2 workers) |",
    ]


def test_who_has_no_figure_comes_last_and_is_never_the_best_peer() -> None:
    found = read(
        workload("x", "less", "p50_ms", saq={"p50_ms": []}, ours={"p50_ms": [2.0]}, arq={"p50_ms": [3.0]}, rq={})
    )
    assert found.ranked() == ["ours", "arq", "saq", "rq"]
    assert found.best_peer() == "arq"
    assert found.ratio("saq", "ours") == "-"


def test_without_ours_or_with_a_zero_there_is_no_ratio() -> None:
    alone = workload("x", "more", "per_second", arq={"per_second": [3.0]})
    assert markdown(result(alone)).splitlines()[-1] == "| arq | 3.00 (3.00 to 3.00) | - |"
    assert summary(result(alone)).splitlines()[-1] == "| X, messages a second | - | - | 3.00 (arq) | - | - |"
    stuck = workload("x", "more", "per_second", arq={"per_second": [3.0]}, ours={"per_second": [0.0]})
    assert "| arq | 3.00 (3.00 to 3.00) | - |" in markdown(result(stuck)).splitlines()


def test_a_bar_in_a_name_does_not_break_the_table_and_a_note_may_be_missing() -> None:
    found = workload("x", "more", "per_second", **{"a|b": {"per_second": [3.0]}})
    del found["note"]
    said = markdown(result(found)).splitlines()
    assert said[-5:-3] == ["## X", ""]
    assert said[-1].startswith("| a\\|b | 3.00")


def test_an_unknown_word_is_its_own_title() -> None:
    found = workload("x", "more", "per_second", ours={"per_second": [3.0], "lost_messages": [0.0]})
    said = markdown(result(found)).splitlines()
    assert "| contestant | messages a second | against ours | lost messages |" in said
    assert said[-1] == "| ours | 3.00 (3.00 to 3.00) | 1.00x | 0 (0 to 0) |"
