"""Draws how the cost of a message grows: one small curve for each workload of growth, an SVG for light and dark pages.

`python -m benchmarks.curve RESULT.json FOLDER`. The dashed line is where one server's core would be busy all the time:
above it another server is needed.
"""

import json
import math
import sys
from html import escape
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.report import number

Points = list[tuple[float, float]]

_WIDTH: Final = 480
_HEIGHT: Final = 300
_LEFT: Final = 70
_RIGHT: Final = 444
_TOP: Final = 62
_BOTTOM: Final = 240
_STYLE: Final = """
    text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328; }
    .pale { fill: #59636e; font-size: 11px; } .title { font-size: 14px; font-weight: 600; }
    .ours { fill: none; stroke: #2563c9; stroke-width: 2; } .point { fill: #2563c9; }
    .limit { fill: none; stroke: #858d96; stroke-width: 1.5; stroke-dasharray: 5 4; } .grid { stroke: #d8dde2; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e9ecef; } .pale { fill: #9ba4ad; } .ours { stroke: #6aa3f8; } .point { fill: #6aa3f8; }
      .limit { stroke: #9ba4ad; } .grid { stroke: #3a4048; }
    }
"""


def steps(workload: dict[str, Any]) -> tuple[Points, Points]:
    """Return the medians of messages a second by step, and what the server alone could do at each."""
    measured, limit = [], []
    for name, values in workload["values"].items():
        step = median(values["trip_ms"]) if "trip_ms" in values else _number_in(name)
        measured.append((step, median(values["per_second"])))
        if (server := median(values.get("server_cpu_per_10000", [0.0]))) > 0:
            limit.append((step, 10_000 / server))
    return sorted(measured), sorted(limit)


def _number_in(name: str) -> float:
    return float(name.split(", ", 1)[1].split(maxsplit=1)[0].replace(",", ""))


def curve(workload: dict[str, Any], run: str) -> str:
    """Return the picture, both axes logarithmic."""
    measured, limit = steps(workload)
    steps_low, steps_high = measured[0][0], measured[-1][0]
    values = [value for _, value in (*measured, *limit)]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))

    def at(point: tuple[float, float]) -> tuple[float, float]:
        x = _LEFT + (_RIGHT - _LEFT) * _share(point[0], steps_low, steps_high)
        return x, _BOTTOM - (_BOTTOM - _TOP) * _share(point[1], low, high)

    unit = next(iter(workload["values"])).rsplit(" ", 1)[1]
    told = ", ".join(f"{number(step)} {unit}: {number(value)}" for step, value in measured)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="t">',
            f'  <title id="t">{escape(workload["title"])}: {escape(told)} messages a second</title>',
            f"  <style>{_STYLE}  </style>",
            f'  <text class="title" x="0" y="18">{escape(workload["title"])}</text>',
            f'  <text class="pale" x="0" y="36">messages a second by {escape(unit)}; dashed: one server is busy all the time</text>',
            *_grid(low, high),
            f'  <polyline class="limit" points="{_path(map(at, limit))}"/>' if limit else "",
            f'  <polyline class="ours" points="{_path(map(at, measured))}"/>',
            *(line for place, point in enumerate(measured) for line in _point(point, at(point), place % 2)),
            f'  <text class="pale" x="0" y="{_HEIGHT - 8}">{escape(run)}</text>',
            "</svg>\n",
        ]
    )


def _share(value: float, low: float, high: float) -> float:
    return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low)) if high > low else 0.5


def _path(points: Any) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _grid(low: float, high: float) -> list[str]:
    lines, value = [], low
    while value <= high * 1.01:
        y = _BOTTOM - (_BOTTOM - _TOP) * _share(value, low, high)
        lines.append(f'  <line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'  <text class="pale" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,.0f}</text>')
        value *= 10
    return lines


def _point(point: tuple[float, float], place: tuple[float, float], row: int) -> list[str]:
    # In two rows, or neighbours would stand in each other.
    x, y = place
    beside = y + 18 if row else y - 8
    return [
        f'  <circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="3"/>',
        f'  <text x="{x:.1f}" y="{beside:.1f}" text-anchor="middle">{number(point[1])}</text>',
        f'  <text class="pale" x="{x:.1f}" y="{_BOTTOM + 16 + 13 * row}" text-anchor="middle">{_step(point[0])}</text>',
    ]


def _step(step: float) -> str:
    return f"{step:,.0f}" if step >= 10 else f"{step:.2g}"


def draw(result: dict[str, Any], folder: Path) -> list[Path]:
    """Draw every workload of growth in a result; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    machine, written = result["machine"], []
    run = f"{result['date']}, {machine['cores']} cores, Python {machine['python']}, {result['server']}, {result['rounds']} round{'s' * (result['rounds'] > 1)}"
    for workload in result["workloads"]:
        if workload["name"].startswith("growth_"):
            written.append(folder / f"{workload['name']}.svg")
            written[-1].write_text(curve(workload, run), encoding="utf-8")
    return written


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    for path in draw(json.loads(source.read_text()), target):
        sys.stdout.write(f"{path}\n")
