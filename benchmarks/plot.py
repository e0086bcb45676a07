"""Draws the result of the benchmark: a bar chart for each workload.

`python -m benchmarks.plot RESULT.json FOLDER`, with the Python of an environment that holds requirements-plots.lock.
"""

import json
import sys
import textwrap
from pathlib import Path
from statistics import median
from typing import Any, Final

import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]  # in an environment of its own
from matplotlib.axes import Axes  # type: ignore[import-not-found, unused-ignore]
from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]

from benchmarks.report import ABOUT_BARE, BARE, OURS, Workload, number, variant, workloads

_WIDTH: Final = 8.0  # inches, so that a point is about a pixel and a half where the picture is 800 pixels wide
_TOO_FAR_APART: Final = 20
_STYLE: Final = {
    "backend": "agg",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 200,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
    "hatch.linewidth": 0.8,
    "svg.hashsalt": "benchmarks",  # the same result gives the same file
    "svg.fonttype": "path",
}
_INK, _PALE = "#1f2328", "#59636e"
_OURS_FILL, _PEER_FILL, _BARE_FILL, _BARE_LINE = "#2f81f7", "#afb8c1", "#f0f2f4", "#818b98"


def draw(result: dict[str, Any], folder: Path) -> list[Path]:
    """Draw every workload into the folder, as PNG and SVG; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    found = [workload for workload in workloads(result) if _bars(workload)]
    written = []
    with mpl.rc_context(_STYLE):
        for workload in found:
            written += _save(_chart(workload, result), folder / workload.name)
    return written


def _save(figure: Figure, path: Path) -> list[Path]:
    # Neither a date nor matplotlib's version: a picture changes when the result does.
    without: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    paths = [path.with_name(f"{path.name}.{ending}") for ending in without]
    for target, metadata in zip(paths, without.values(), strict=True):
        figure.savefig(target, metadata=metadata)
    return paths


def _bars(workload: Workload) -> list[str]:
    return [name for name in workload.ranked() if workload.main(name) is not None]


def _chart(workload: Workload, result: dict[str, Any]) -> Figure:
    title = textwrap.wrap(workload.title, 60)
    slots = len(_bars(workload))
    figure = Figure(figsize=(_WIDTH, 1.5 + 0.25 * len(title) + 0.42 * slots), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    _panel(figure.subplots(), workload, slots=slots, size=11)
    figure.suptitle("\n".join(title), x=0.015, ha="left", size=14, weight="bold", color=_INK)
    _footnote(figure, [workload], result)
    return figure


def _footnote(figure: Figure, shown: list[Workload], result: dict[str, Any]) -> None:
    lines = [f"{result['date']}, {result['server']}; median of {result['rounds']} rounds, whiskers from least to most"]
    if any(variant(name, BARE) for workload in shown for name in _bars(workload)):
        lines.append(ABOUT_BARE)
    figure.supxlabel("\n".join(lines), x=0.015, ha="left", size=8.5, color=_PALE, linespacing=1.4)


def _panel(axes: Axes, workload: Workload, *, slots: int, size: float) -> None:
    names = _bars(workload)
    rounds = [workload.values[name][workload.figure] for name in names]
    for place, (name, values) in enumerate(zip(names, rounds, strict=True)):
        _bar(axes, place, name, values, size)
    axes.set_yticks(range(len(names)), names, size=size, color=_INK)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_weight(_weight(name))
    axes.set_ylim(slots - 0.4, -0.6)  # the best on top
    _scale(axes, workload, rounds, size)


def _bar(axes: Axes, place: int, name: str, values: list[float], size: float) -> None:
    middle, least, most = median(values), min(values), max(values)
    axes.barh(place, middle, height=0.66, **_fill(name))
    if least < most:
        away = [[middle - least], [most - middle]]
        axes.errorbar(middle, place, xerr=away, fmt="none", ecolor=_INK, elinewidth=1.1, capsize=3, capthick=1.1)
    beside = {"xytext": (6, 0), "textcoords": "offset points", "va": "center_baseline"}
    axes.annotate(number(middle), (most, place), **beside, size=size, weight=_weight(name), color=_INK)


def _weight(name: str) -> str:
    return "bold" if variant(name, OURS) else "normal"


def _fill(name: str) -> dict[str, Any]:
    if variant(name, OURS):
        return {"color": _OURS_FILL}
    if variant(name, BARE):
        return {"facecolor": _BARE_FILL, "edgecolor": _BARE_LINE, "hatch": "////", "linewidth": 0.8}
    return {"color": _PEER_FILL}


def _scale(axes: Axes, workload: Workload, rounds: list[list[float]], size: float) -> None:
    middles, most = [median(values) for values in rounds], max(map(max, rounds))
    label = f"{workload.unit}, {workload.better} is better"
    if 0 < min(middles) * _TOO_FAR_APART < max(middles):
        low = min(value for values in rounds for value in values if value > 0) / 2
        axes.set_xscale("log")
        axes.set_xlim(low, most * (most / low) ** 0.22)  # room for the figure beside the longest bar
        label += ", log scale"
    else:
        axes.set_xlim(0, most * 1.22 or 1)
        axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    label = textwrap.fill(label, 88 // axes.get_gridspec().ncols)
    axes.set_xlabel(label, size=size - 0.5, color=_PALE, loc="left")
    axes.tick_params(axis="x", which="both", labelsize=size - 1.5, colors=_PALE, length=0)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(_BARE_LINE)
    axes.grid(axis="x", color="#e4e8ec", linewidth=0.8)
    axes.set_axisbelow(True)


def main() -> None:
    """Draw a result file into a folder; the paths go to the standard output."""
    source, folder = map(Path, sys.argv[1:])
    for path in draw(json.loads(source.read_text()), folder):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
