"""Batches: processes that run many seeds each, several at once."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.simulation.plan import Plan
from tests.simulation.tally import Tally

ROOT: Final = Path(__file__).resolve().parent.parent.parent
_ENVIRONMENT: Final = {"PYTHONHASHSEED": "0"}
"""The same seed is the same run only where sets have the same order."""


@dataclass(frozen=True)
class Batch:
    """Workloads, the seeds that each of them runs, and how."""

    chosen: Sequence[str]
    first: int
    count: int
    plan: Plan

    def run(self, seconds: float) -> tuple[Tally, int]:
        """Run it in a process of its own; no seed begins after so long. What fails is printed; and the exit code."""
        words = [word for name in self.chosen for word in ("--workload", name)]
        words += ["--seed", str(self.first), "--count", str(self.count), "--within", str(seconds), *self.plan.words]
        with tempfile.TemporaryFile("w+") as errors:
            done = subprocess.run(
                [sys.executable, "-m", "tests.simulation", *words],
                cwd=ROOT,
                env=os.environ | _ENVIRONMENT,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                check=False,
            )
            if done.returncode:
                errors.seek(0)
                said = [line for line in done.stdout.splitlines() if ": ok -- " not in line]
                sys.stdout.write("\n".join((*said, errors.read()[-2000:])))
                sys.stdout.flush()
        return Tally.of(done.stdout), done.returncode


def run_batches(
    batches: Iterator[Batch], jobs: int, seconds: float, done: Callable[[Batch, Tally], None] = lambda *_: None
) -> tuple[Tally, int]:
    """Run batches, so many at once and for so long; `done` is called for each that was run whole, in order.

    What came of all, and how many processes ended with an error.
    """
    until = time.monotonic() + seconds
    total, errors = Tally(), 0
    taking = threading.Lock()
    finished: dict[int, tuple[Batch, Tally]] = {}
    told = 0
    with ThreadPoolExecutor(jobs) as pool:
        running: dict[Future[tuple[Tally, int]], tuple[int, Batch]] = {}
        number = 0
        while True:
            while len(running) < jobs and (not number or time.monotonic() < until):
                with taking:
                    batch = next(batches, None)
                if batch is None:
                    break
                running[pool.submit(batch.run, max(0.0, until - time.monotonic()))] = (number, batch)
                number += 1
            if not running:
                return total, errors
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                at, batch = running.pop(future)
                tally, code = future.result()
                total.add(tally)
                errors += code != 0
                if tally.seeds == batch.count * len(batch.chosen):
                    finished[at] = (batch, tally)
            while told in finished:
                done(*finished.pop(told))
                told += 1
