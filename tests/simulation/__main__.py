"""`./run simulate`: runs workloads of the simulated world, from chosen seeds or from random ones."""

import argparse
import os
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from tests.simulation.batches import ROOT, Batch, run_batches
from tests.simulation.plan import Plan
from tests.simulation.record import Record, commit_of
from tests.simulation.seeds import run_seeds
from tests.simulation.tally import Tally
from tests.simulation.workloads import WORKLOADS

__all__ = ["WORKLOADS", "Plan", "main", "run_seeds"]

RECORD: Final = ROOT / "docs" / "simulation.md"
_BATCH: Final = 200
"""So many runs in a process, at most: what the killed processes of a world leave is kept."""
_RECORDED: Final = 5
"""So many seeds of each workload stand in the record at a time."""
_TRIALS: Final = 150


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; exit code 1 when a seed fails, 2 for a mistake on the command line."""
    options = _options(arguments)
    chosen = options.workload or WORKLOADS
    plan = Plan.of(options)
    if options.record:
        return _record(chosen, options, plan)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + options.count)
        run_seeds(chosen, seeds, plan=plan, seconds=options.within, trials=options.trials)
    seconds = options.seconds or 60.0
    total, errors = run_batches(_random(chosen, plan), options.jobs, seconds)
    sys.stdout.write(f"in {seconds:g} s {total}\n")
    return int(errors > 0)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run simulate", description=__doc__)
    parser.add_argument(
        "seconds", nargs="?", type=float, help="run random seeds for so long (60), some of them in a storm"
    )
    parser.add_argument("--seed", type=int, help="run this seed instead, and print its line")
    parser.add_argument("--count", type=int, default=1, help="with --seed: so many seeds from there on (1)")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="this workload only; may be said again")
    parser.add_argument("--jobs", type=int, default=2, help="so many processes at once (2)")
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"run --count seeds of each workload that are this commit's own, from where it was cut off, and write what "
        f"came of them into {RECORD.relative_to(ROOT)}; with --storm into another row",
    )
    parser.add_argument(
        "--trials", type=int, default=_TRIALS, help=f"to shrink a seed that fails; 0 for not ({_TRIALS})"
    )
    parser.add_argument(
        "--within", type=float, default=float("inf"), help="with --seed: begin none after so many seconds"
    )
    Plan.add_to(parser)
    options = parser.parse_args(arguments)
    if (options.seconds is not None and options.seconds <= 0) or options.count < 1 or options.jobs < 1:
        parser.error("SECONDS, --count and --jobs are more than 0")
    return options


def _random(chosen: Sequence[str], plan: Plan) -> Iterator[Batch]:
    """Batches of random seeds; every other one in a storm."""
    count = max(1, _BATCH // len(chosen))
    while True:
        for storm in (False, True):
            first = random.randrange(1_000_000, 1_000_000_000)  # noqa: S311  # a seed, no secret
            yield Batch(
                chosen, first, count, Plan(plan.storm or storm, plan.without, plan.strikes, plan.messages, plan.actors)
            )


def _record(chosen: Sequence[str], options: argparse.Namespace, plan: Plan) -> int:
    """Have each workload run as many seeds of this commit as are asked for, less those that ran."""
    try:
        record = Record(RECORD)
        commit = commit_of(ROOT, RECORD)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"./run simulate: {error}\n")
        return 2
    row = record.row(commit, _what_runs(chosen, plan))
    sys.stdout.write(f"{row.workloads} on {commit}: {row.each} of each ran\n")

    def note(batch: Batch, tally: Tally) -> None:
        row.each += batch.count
        row.tally.add(tally)
        record.write()

    _, errors = run_batches(
        _rest(chosen, plan, row.first, row.each, options.count), options.jobs, options.seconds or float("inf"), note
    )
    sys.stdout.write(f"{row.workloads} on {commit}: {row.each} of each ran; {row.tally}\n")
    return int(errors > 0 or bool(row.tally.failed))


def _what_runs(chosen: Sequence[str], plan: Plan) -> str:
    """The workloads and how they run, as a row of the record has it: what runs otherwise has another row."""
    names = "all" if tuple(chosen) == WORKLOADS else " ".join(chosen)
    others = " ".join(replace(plan, storm=False).words)
    return ", ".join(word for word in (names, "in storms" if plan.storm else "", others) if word)


def _rest(chosen: Sequence[str], plan: Plan, first: int, ran: int, wanted: int) -> Iterator[Batch]:
    for at in range(ran, wanted, _RECORDED):
        yield Batch(chosen, first + at, min(_RECORDED, wanted - at), plan)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The same seed is the same run only where sets have the same order.
        words = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, words, os.environ | {"PYTHONHASHSEED": "0"})  # noqa: S606  # this program again
    sys.exit(main())
