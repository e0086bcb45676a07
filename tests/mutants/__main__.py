"""`./run mutants`: seeds one bug after the other, and looks whether what should find it does."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from tests.mutants.mutant import GoneError, Mutant, mutants
from tests.mutants.project_copy import ProjectCopy
from tests.mutants.trial import Outcome, Pace, Trial

_FATES: Final = {"passed": "SURVIVED", "broken": "NO PROGRAM", "failed": "found"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; exit code 1 when one survives, or proves nothing, 2 for a mistake on the command line."""
    options = _options(arguments)
    chosen = [mutants()[name] for name in options.names] or list(mutants().values())
    began = time.monotonic()
    with ExitStack() as stack:
        trials, pace = SimpleQueue[Trial](), Pace()
        for _ in range(min(options.at_once, len(chosen))):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-", ignore_cleanup_errors=True)))
            trials.put(Trial(ProjectCopy(folder), folder / "notes", pace))
        with ThreadPoolExecutor(trials.qsize()) as pool:
            problems = _without_mutants(chosen, trials, pool) or _with_each(chosen, trials, pool)
    took = f"in {time.monotonic() - began:.0f} s"
    sys.stdout.write("".join(f"\n{line}" for line in problems) + "\n")
    sys.stdout.write(
        f"{len(chosen)} mutants {took}: " + (f"{len(problems)} not found\n" if problems else "all found\n")
    )
    return int(bool(problems))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these mutants (all)")
    parser.add_argument("--at-once", type=int, default=min(2, os.cpu_count() or 1), help="so many side by side (2)")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in mutants()]:
        parser.error(f"there is no mutant {unknown[0]}; tests/mutants/seeded/ has the tables")
    if options.at_once < 1:
        parser.error("--at-once is more than 0")
    return options


def _without_mutants(chosen: list[Mutant], trials: "SimpleQueue[Trial]", pool: ThreadPoolExecutor) -> list[str]:
    """What fails already without any mutant, and so would show nothing."""
    whats = list(dict.fromkeys(mutant.by for mutant in chosen))
    tests = [what for what in whats if not what.startswith("simulate ")]
    portions = [[what] for what in whats if what not in tests]
    portions += [portion for first in range(trials.qsize()) if (portion := tests[first :: trials.qsize()])]

    def run(portion: list[str]) -> Outcome:
        trial = trials.get()
        try:
            return trial.run(portion)
        finally:
            trials.put(trial)

    outcomes = zip(portions, pool.map(run, portions), strict=True)
    return [
        f"fails without a mutant ({outcome.how}): {' '.join(portion)}"
        for portion, outcome in outcomes
        if outcome.fate != "passed"
    ]


def _with_each(chosen: list[Mutant], trials: "SimpleQueue[Trial]", pool: ThreadPoolExecutor) -> list[str]:
    """Print the table; return which mutants survive, or prove nothing."""

    def run(mutant: Mutant) -> Outcome:
        trial = trials.get()
        try:
            return trial.of(mutant)
        except GoneError as error:
            return Outcome("broken", str(error))
        finally:
            trials.put(trial)

    sys.stdout.write("| mutant | what it breaks | caught by | how | seconds |\n|---|---|---|---|---|\n")
    problems = []
    for mutant, outcome in zip(chosen, pool.map(run, chosen), strict=True):
        for line in _row(mutant, outcome):
            sys.stdout.write(line)
        sys.stdout.flush()
        if outcome.fate != "failed":
            problems.append(f"{_FATES[outcome.fate]}: {mutant.name} by {mutant.by} {outcome.how}".rstrip())
    return problems


def _row(mutant: Mutant, outcome: Outcome) -> Iterator[str]:
    how = outcome.how if outcome.fate == "failed" else f"**{_FATES[outcome.fate]}** {outcome.how}".rstrip()
    yield f"| {mutant.name} | {mutant.breaks} | `{mutant.by}` | {how} | {outcome.seconds:.1f} |\n"


if __name__ == "__main__":
    sys.exit(main())
