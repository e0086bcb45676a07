"""Trial: runs what is to find a mutant, and judges whether it did."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.mutants.mutant import Mutant
from tests.mutants.project_copy import ProjectCopy

_LONGEST: Final = 150.0
"""Seconds for a run: a test that a mutant hangs is ended by its own time limit, long before."""
# That a mutant is no program shows nothing. What a script of ours stumbles over comes as an error of the engine.
_NO_PROGRAM: Final = {
    "ImportError",
    "ModuleNotFoundError",
    "SyntaxError",
    "IndentationError",
    "NameError",
    "UnboundLocalError",
}
_NO_SCRIPT: Final = re.compile(
    r"Error compiling|nonexistent global|attempt to (?:call|index|compare|concatenate|perform)"
)

Fate = Literal["passed", "failed", "broken"]
"""What became of a run: its tests passed, or failed as tests do, or the mutant is no program."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    fate: Fate
    how: str
    """By which error it failed, or what else to know of it."""
    seconds: float = 0.0


class Trial:
    """Runs tests and simulations in one copy of the project."""

    def __init__(self, project: ProjectCopy, notes: Path) -> None:
        """`notes`: a file for what the tests fail by."""
        self._project: Final = project
        self._notes: Final = notes

    def of(self, mutant: Mutant) -> Outcome:
        """Run what is to find this mutant, with the mutant in the copy."""
        with self._project.with_mutant(mutant):
            return self.run([mutant.by])

    def run(self, what: Sequence[str]) -> Outcome:
        """Run tests in one process, or one simulation."""
        began = time.monotonic()
        outcome = self._simulate(what[0].split()[1:]) if what[0].startswith("simulate ") else self._test(what)
        return Outcome(outcome.fate, outcome.how, time.monotonic() - began)

    def _simulate(self, words: list[str]) -> Outcome:
        workload, seed, *count = words
        code, said = self._ran("tests.simulation", "--workload", workload, "--seed", seed, "--count", *(count or ["1"]))
        if code == 0:
            return Outcome("passed", "")
        if code == 1 and (found := re.search(rf"^{workload} \d+: (?!ok )(.*?) -- ", said, flags=re.MULTILINE)):
            fate: Fate = "broken" if _NO_SCRIPT.search(said) or any(word in said for word in _NO_PROGRAM) else "failed"
            return Outcome(fate, found[1].replace("|", "/")[:60])
        return Outcome("broken", _last_line(said))

    def _test(self, tests: Sequence[str]) -> Outcome:
        self._notes.write_text("")
        code, said = self._ran(
            "pytest", "-q", "-p", "tests.mutants.verdicts", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "", "-x",
            *tests,
        )  # fmt: skip
        if code == 0:
            return Outcome("passed", "")
        verdicts = [json.loads(line) for line in self._notes.read_text(encoding="utf-8").splitlines()]
        if code != 1 or not verdicts:
            return Outcome("broken", _last_line(said))
        first = verdicts[0]
        is_program = first["error"] not in _NO_PROGRAM and not _NO_SCRIPT.search(first["text"])
        return Outcome("failed" if is_program else "broken", first["error"])

    def _ran(self, module: str, *arguments: str) -> tuple[int, str]:
        """The exit code of a process in the copy, and what it said; one that takes long is ended with its children."""
        running = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self._project.folder,
            env=self._project.environment(MUTANT_VERDICTS=str(self._notes)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said, _ = running.communicate(timeout=_LONGEST)
        except subprocess.TimeoutExpired:
            said = b"it did not end"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
        return running.returncode, said.decode(errors="replace")


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:100] if lines else "it said nothing"
