"""The benchmark: `./run bench [WORKLOAD ...]`. Interleaved rounds at one server; medians, ratios, a table and plots."""

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import compare, suite
from benchmarks.contest import Contest
from benchmarks.contestants import ROOT, BenchmarkError, Contestant, names, peers, us
from benchmarks.report import markdown, summary
from benchmarks.workloads import Entry, Workload, calls, drain
from shared.local.embedded import EmbeddedServer
from shared.local.server_error import EmbeddedServerError

_PILOT = 200
_COUNTED = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the result; exit code 2 and one line when something is missing."""
    options = _options(arguments)
    chosen = suite.chosen(options.workloads)
    wanted = names() if options.peers == "all" else [name for name in options.peers.split(",") if name]
    try:
        with nullcontext(options.url) if options.url else embedded_server() as url:
            if options.compare:
                return _compare(Contest(url), chosen, options)
            result = measure(Contest(url), chosen, us() + peers(wanted), options.rounds)
        write(result, options.into, plots=options.plots)
    except (BenchmarkError, EmbeddedServerError, OSError) as error:
        sys.stderr.write(f"run: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _compare(contest: Contest, chosen: list[Workload], options: argparse.Namespace) -> int:
    """Measure beside a commit and print the comparison; exit code 1 when a figure is worse than allowed."""
    with compare.contestants(options.compare) as three:
        result = measure(contest, chosen, three, options.rounds)
    found = compare.figures(result, options.compare)
    options.into.mkdir(parents=True, exist_ok=True)
    (options.into / "compare.json").write_text(json.dumps(result, indent=1) + "\n")
    versions = ", ".join(f"{one.name} ({one.version})" for one in three)
    sys.stdout.write(
        f"{result['server']}, Python {result['machine']['python']}, {options.rounds} rounds: {versions}\n\n"
    )
    sys.stdout.write(compare.report(found, options.compare, options.worse_than))
    return 0 if all(one.holds(options.worse_than) for one in found) else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    known = suite.names()
    parser.add_argument(
        "workloads",
        nargs="*",
        metavar="WORKLOAD",
        help=f"which of: {', '.join(known)} (default: all but those of growth)",
    )
    parser.add_argument("--peers", default="", help=f"which others, with commas between, or all: {', '.join(names())}")
    parser.add_argument(
        "--compare",
        default="",
        metavar="COMMIT",
        help="compare this checkout with a commit, and the commit with itself",
    )
    parser.add_argument(
        "--worse-than", type=float, default=3.0, metavar="PERCENT", help="with --compare: how much worse is allowed (3)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every workload (5)")
    parser.add_argument("--url", default="", help="a server of your own, WHICH IS EMPTIED (default: an embedded one)")
    parser.add_argument("--into", type=Path, default=ROOT / ".run" / "bench", help="where the result goes (.run/bench)")
    parser.add_argument(
        "--plots", action="store_true", help="draw plots too, with matplotlib in an environment of its own"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.workloads) - set(known):
        parser.error(f"no workload is called {', '.join(sorted(unknown))}")
    if options.compare and (options.peers or options.plots):
        parser.error("--compare cannot be combined with --peers or --plots")
    if options.rounds < 1:
        parser.error("--rounds is 1 or more")
    return options


@contextmanager
def embedded_server() -> Iterator[str]:
    """Start a server of our own, on a port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder), port=port) as server:
        yield server.url


def measure(
    contest: Contest,
    chosen: list[Workload],
    contestants: list[Contestant],
    rounds: int,
    rates: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Run all rounds; returns the result document, as benchmarks.report reads it.

    A peer that cannot do a workload is left out of it, with a line on stderr. `rates`: the messages a second of each
    contestant; without them a pilot of each peer measures its rate.

    :raises BenchmarkError: when one of our own contestants cannot do a workload.
    """
    if rates is None:
        rates = _pilots(contest, [one for one in contestants if one.is_peer])
        contestants = [one for one in contestants if not one.is_peer or one.name in rates]
    found = {workload.name: _rounds(contest, workload, contestants, rates, rounds) for workload in chosen}
    if "drain" in found:
        for one in contestants:
            found["drain"][one.name]["calls_a_message"] = [calls(contest, one, _COUNTED if not one.is_peer else _PILOT)]
    about = contest.info("server")
    kind = "valkey" if "valkey_version" in about else "redis"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "cpu": _cpu(), "cores": os.cpu_count(), "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release().split('-')[0]}",
        },
        "server": f"{kind} {about[f'{kind}_version']}",
        "rounds": rounds,
        "versions": {one.name: one.version for one in contestants},
        "workloads": [
            {
                "name": workload.name, "title": workload.title, "note": workload.note, "figure": workload.figure[0],
                "unit": workload.figure[1], "better": workload.figure[2], "also": workload.also,
                "baseline": workload.baseline, "values": found[workload.name],
            }
            for workload in chosen
        ],
    }  # fmt: skip


def _pilots(contest: Contest, contestants: list[Contestant]) -> dict[str, float]:
    """Return how many messages each peer drains in a second, so that no round of it takes much longer."""
    rates = {}
    for one in contestants:
        try:
            rates[one.name] = drain()(contest, one, _PILOT)["per_second"]
        except BenchmarkError as error:
            sys.stderr.write(f"left out: {error}\n")
    return rates


def _rounds(
    contest: Contest, workload: Workload, contestants: list[Contestant], rates: dict[str, float], rounds: int
) -> dict[str, dict[str, list[float]]]:
    entries = workload.entries(contestants, rates)
    values: dict[str, dict[str, list[float]]] = {entry.name: {} for entry in entries}
    for number in range(rounds):
        # Each in turn, every round beginning with another one: what else the machine does affects all alike.
        turn = number % len(entries)
        for entry in entries[turn:] + entries[:turn]:
            if entry.name in values:
                _round(contest, workload, entry, values)
        sys.stderr.write(f"{workload.name}: round {number + 1} of {rounds}\n")
    return values


def _round(contest: Contest, workload: Workload, entry: Entry, values: dict[str, dict[str, list[float]]]) -> None:
    try:
        measured = (entry.run or workload.run)(contest, entry.contestant, entry.count)
    except BenchmarkError as error:
        if not entry.contestant.is_peer and entry.contestant.root == ROOT:
            raise  # a commit that is compared with may be older than what is measured
        sys.stderr.write(f"{workload.name}: left out: {error}\n")
        del values[entry.name]
        return
    for word, value in measured.items():
        values[entry.name].setdefault(word, []).append(value)


def write(result: dict[str, Any], into: Path, *, plots: bool) -> None:
    """Write result.json and result.md, and the plots.

    :raises BenchmarkError: when the plots cannot be drawn.
    """
    into.mkdir(parents=True, exist_ok=True)
    (into / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    (into / "result.md").write_text(markdown(result))
    sys.stdout.write(summary(result))
    if plots:
        environment: list[str | Path] = [
            sys.executable,
            "-I",
            ROOT / "tools" / "environment.py",
            ".venv-plots",
            "requirements-plots.lock",
        ]
        draw: list[str | Path] = [
            ROOT / ".venv-plots" / "bin" / "python",
            "-m",
            "benchmarks.plot",
            into / "result.json",
            into,
        ]
        for command in (environment, draw):
            done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
            if done.returncode != 0:
                raise BenchmarkError("the plots could not be drawn")
    sys.stderr.write(f"the result is in {into}\n")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
