"""Draws all contestants of one workload as bars in true proportion, for a README: an SVG for light and dark pages.

`python -m benchmarks.overview RESULT.json OVERVIEW.svg`
"""

import json
import sys
from html import escape
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.report import BARE, OURS, number

WORKLOAD: Final = "drain"
_ROW: Final = 26
_TOP: Final = 58
_LEFT: Final = 96
_LONGEST: Final = 560
_WIDTH: Final = 880

_STYLE: Final = """
    text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328; }
    .pale { fill: #59636e; font-size: 12px; } .strong { font-weight: 600; } .title { font-size: 15px; font-weight: 600; }
    .ours { fill: #2563c9; } .peer { fill: #858d96; } .bare { fill: none; stroke: #858d96; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e9ecef; } .pale { fill: #9ba4ad; }
      .ours { fill: #6aa3f8; } .peer { fill: #6b747d; } .bare { stroke: #6b747d; }
    }
"""


def overview(result: dict[str, Any]) -> str:
    """Return the picture: the best first, each with its figure and how many times ours it is slower."""
    workload = next(each for each in result["workloads"] if each["name"] == WORKLOAD)
    figure = workload["figure"]
    found = {name: median(values[figure]) for name, values in workload["values"].items() if values.get(figure)}
    names = sorted(found, key=lambda name: -found[name])
    bars = [line for place, name in enumerate(names) for line in _bar(place, name, found)]
    bottom = _TOP + len(names) * _ROW
    machine = result["machine"]
    run = (
        f"Median of {result['rounds']} interleaved rounds, {result['date']}: {machine['cores']} cores, {machine['cpu']}, "
        f"Python {machine['python']}, {result['server']}. The bare list guarantees nothing."
    )
    notes = (workload["note"].replace("`", ""), run)
    height = bottom + 24 + 18 * len(notes)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="t">',
            f'  <title id="t">{escape(workload["title"])}: {escape(_told(names, found))}</title>',
            f"  <style>{_STYLE}  </style>",
            f'  <text class="title" x="0" y="20">{escape(workload["title"])}</text>',
            f'  <text class="pale" x="0" y="40">{escape(workload["unit"])}; the bars are in true proportion</text>',
            *bars,
            *(
                f'  <text class="pale" x="0" y="{bottom + 24 + 18 * line}">{escape(note)}</text>'
                for line, note in enumerate(notes)
            ),
            "</svg>\n",
        ]
    )


def _bar(place: int, name: str, found: dict[str, float]) -> list[str]:
    y, length = _TOP + place * _ROW, max(1.0, _LONGEST * found[name] / max(found.values()))
    kind = {OURS: "ours", BARE: "bare"}.get(name, "peer")
    weight = " strong" if name == OURS else ""
    times = "" if kind != "peer" else f"ours is {_times(found[OURS] / found[name])}"
    beside = f'{number(found[name])}<tspan class="pale" dx="10">{times}</tspan>'
    return [
        f'  <text class="name{weight}" x="{_LEFT - 10}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
        f'  <rect class="{kind}" x="{_LEFT}" y="{y}" width="{length:.1f}" height="18"/>',
        f'  <text class="figure{weight}" x="{_LEFT + length + 8:.1f}" y="{y + 14}">{beside}</text>',
    ]


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.1f}x"


def _told(names: list[str], found: dict[str, float]) -> str:
    return ", ".join(f"{name} {number(found[name])}" for name in names)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(overview(json.loads(source.read_text())), encoding="utf-8")
