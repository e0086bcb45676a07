"""Writes the result of the benchmark as Markdown: a table for each workload, and one short table of all.

Standard library only.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final

OURS: Final = "ours"
BARE: Final = "bare list"
ABOUT_BARE: Final = "bare list: a list without guarantees, the limit of what a queue on a list could reach"
BARE_SCRIPTS: Final = "bare scripts"
"""The scripts of a lock or of a put through this project's own connection, and nothing around them."""
SLOTS: Final = "100 slots alone"
"""No queue at all; takes the place of the bare list where handlers take time."""
IMPORTS: Final = "imports alone"
"""A process that imports what our service depends on, and no more; takes the place of the bare list at a start."""
_LIMITS: Final = (SLOTS, BARE_SCRIPTS, IMPORTS)
_NOTHING: Final = "-"
_TITLES: Final = {
    "worker_cpu_per_10000": "worker CPU, s per 10,000",
    "server_cpu_per_10000": "server CPU, s per 10,000",
    "calls_a_message": "server calls a message",
    "peak_mb": "peak memory, MB",
    "p50_ms": "p50, ms",
    "p95_ms": "p95, ms",
    "p99_ms": "p99, ms",
}


@dataclass(frozen=True)
class Workload:
    """One workload of a result. `values` holds one value for each round, by contestant and by what was measured."""

    name: str
    title: str
    note: str
    figure: str
    unit: str
    better: str
    values: dict[str, dict[str, list[float]]]
    also: tuple[tuple[str, str], ...] = ()
    """Further figures that have a verdict of their own, and whether more or less of each is better."""
    baseline: str = ""
    """The variant of ours that the others are compared with: it has no verdict."""

    def main(self, contestant: str) -> float | None:
        """Return the contestant's median of the figure that counts; None when it has none."""
        rounds = self.values.get(contestant, {}).get(self.figure)
        return median(rounds) if rounds else None

    def ranked(self) -> list[str]:
        """Return all contestants, the best first; those without the figure that counts come last."""
        sign = -1 if self.better == "more" else 1
        found = {name: self.main(name) for name in self.values}
        return sorted(found, key=lambda name: (found[name] is None, sign * (found[name] or 0)))

    def ours(self) -> list[str]:
        """Return our entry, or else all its variants ("ours, 2 workers"), in the order of the result."""
        return [OURS] if OURS in self.values else [name for name in self.values if variant(name, OURS)]

    def judged(self) -> list[str]:
        """Return those of our entries that have a verdict."""
        return [name for name in self.ours() if name != f"{OURS}, {self.baseline}"]

    def bare(self, ours: str) -> str | None:
        """Return the bare list's entry that belongs to one of ours: the same variant, or else the plain one."""
        alike = BARE + ours.removeprefix(OURS)
        return next((name for name in (alike, BARE, *_LIMITS) if self.main(name) is not None), None)

    def limits(self, ours: str) -> list[str]:
        """Return what bounds one of ours: the bare list's entry or what takes its place, and the bare scripts."""
        found = (self.bare(ours), BARE_SCRIPTS if self.main(BARE_SCRIPTS) is not None else None)
        return list(dict.fromkeys(name for name in found if name))

    def best_peer(self) -> str | None:
        """Return the best of the contestants that are neither ours nor a limit."""
        ranked = (name for name in self.ranked() if self.main(name) is not None)
        return next((name for name in ranked if not any(variant(name, one) for one in (OURS, BARE, *_LIMITS))), None)

    def ratio(self, above: str, below: str | None) -> str:
        """Return the figure of `above` as a multiple of that of `below`: "0.05x"."""
        one, other = self.main(above), None if below is None else self.main(below)
        return _NOTHING if one is None or not other else f"{_times(one / other)}x"


def workloads(result: dict[str, Any]) -> list[Workload]:
    """Read the workloads of a result document."""
    words = ("name", "title", "figure", "unit", "better", "values")
    return [
        Workload(
            note=found.get("note", ""),
            also=tuple((word, better) for word, better in found.get("also", ())),
            baseline=found.get("baseline", ""),
            **{word: found[word] for word in words},
        )
        for found in result["workloads"]
    ]


def variant(name: str, of: str) -> bool:
    """Return whether the name is that contestant, plain or as a variant: "ours", "ours, 2 workers"."""
    return name == of or name.startswith(f"{of}, ")


def number(value: float) -> str:
    """Format a number with three significant digits and thousands separators."""
    if value == 0:
        return "0"
    # Rounded first: 999.6 becomes 1,000 and needs one decimal less.
    rounded = f"{value:.2e}"
    return f"{float(rounded):,.{max(0, 2 - int(rounded.partition('e')[2]))}f}"


def markdown(result: dict[str, Any], level: int = 2) -> str:
    """Write the whole result: the circumstances, then a table for each workload, under a heading of that level."""
    return "\n\n".join([_circumstances(result), *(_section(one, level) for one in workloads(result))]) + "\n"


def summary(result: dict[str, Any]) -> str:
    """Write one table with a line for each workload."""
    head = ("workload", OURS, BARE, "best peer", "ours to best peer", "ours to bare list")
    return table(head, map(_summary_line, workloads(result))) + "\n"


def _times(ratio: float) -> str:
    # Two decimals are exact enough, unless they would all be 0.
    return f"{ratio:.1g}" if ratio < 0.01 else f"{ratio:.2f}" if ratio < 9.995 else number(ratio)


def _circumstances(result: dict[str, Any]) -> str:
    machine = result["machine"]
    versions = [f"{name} {version}" for name, version in result["versions"].items() if version]
    lines = [
        f"- Date: {result['date']}",
        f"- Machine: {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, {machine['system']}",
        f"- Server: {result['server']}",
        f"- Versions: {', '.join(versions)}",
        f"- Rounds: {result['rounds']}; each figure is the median (least to most) of all rounds",
    ]
    if any(variant(name, BARE) for workload in workloads(result) for name in workload.values):
        lines.append(f"- {ABOUT_BARE[0].upper()}{ABOUT_BARE[1:]}")
    return "\n".join(lines)


def _section(workload: Workload, level: int) -> str:
    ours = workload.ours()
    base = ours[0] if ours else None
    # In the order in which they were measured, but the figure that counts comes first.
    words = list(
        dict.fromkeys([workload.figure, *(word for measured in workload.values.values() for word in measured)])
    )
    main, *others = (_column(workload, word) for word in words)
    lines = []
    for name in workload.ranked():
        first, *rest = (_spread(workload, name, word) for word in words)
        lines.append((name, first, workload.ratio(name, base), *rest))
    columns = table(("contestant", main, f"against {base or OURS}", *others), lines)
    parts = (f"{'#' * level} {workload.title}", workload.note, columns, _verdict(workload), *_further(workload))
    return "\n\n".join(part for part in parts if part)


def _column(workload: Workload, word: str) -> str:
    return workload.unit if word == workload.figure and word not in _TITLES else titled(word)


def titled(word: str) -> str:
    """Return what was measured, in words."""
    return _TITLES.get(word, word.replace("_", " "))


def _spread(workload: Workload, name: str, word: str) -> str:
    rounds = workload.values[name].get(word)
    if not rounds:
        return _NOTHING
    return f"{number(median(rounds))} ({number(min(rounds))} to {number(max(rounds))})"


def _further(workload: Workload) -> list[str]:
    """The verdicts about the further figures, each with its title."""
    verdicts = ((word, _verdict(replace(workload, figure=word, better=better))) for word, better in workload.also)
    return [f"{titled(word)}: {verdict}" for word, verdict in verdicts if verdict]


def _verdict(workload: Workload) -> str:
    verdicts = []
    for ours in workload.judged():
        peer = workload.best_peer()
        parts = [f"{workload.ratio(ours, peer)} the best peer ({peer})"] if peer else []
        parts += [f"{workload.ratio(ours, limit)} the {limit}" for limit in workload.limits(ours)]
        if parts and workload.main(ours) is not None:
            verdicts.append(f"{ours} is {', '.join(parts)}")
    return "; ".join(verdicts) + (" (less is better)" if verdicts and workload.better == "less" else "")


def _summary_line(workload: Workload) -> tuple[str, ...]:
    ours, peer = workload.ours(), workload.best_peer()
    bare = dict.fromkeys(found for name in ours if (found := workload.bare(name)))
    return (
        f"{workload.title}, {workload.unit}" + (" (less is better)" if workload.better == "less" else ""),
        _each((name, _figure(workload, name)) for name in ours),
        _each((name, _figure(workload, name)) for name in bare),
        f"{_figure(workload, peer)} ({peer})" if peer else _NOTHING,
        _each((name, workload.ratio(name, peer)) for name in workload.judged() if peer),
        _each((name, workload.ratio(name, found)) for name in ours if (found := workload.bare(name))),
    )


def _figure(workload: Workload, name: str) -> str:
    found = workload.main(name)
    return _NOTHING if found is None else number(found)


def _each(found: Iterable[tuple[str, str]]) -> str:
    # The name of a variant follows its figure: "78,000 (2 workers)".
    texts = [text + (f" ({rest})" if (rest := name.partition(", ")[2]) else "") for name, text in found]
    return ", ".join(texts) or _NOTHING


def table(head: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    """Write a table in Markdown, the figures aligned to the right."""
    rule = ("---", *("---:" for _ in head[1:]))
    cells = ([cell.replace("|", "\\|") for cell in line] for line in (head, *lines))
    top, *rest = (f"| {' | '.join(line)} |" for line in cells)
    return "\n".join([top, f"|{'|'.join(rule)}|", *rest])
