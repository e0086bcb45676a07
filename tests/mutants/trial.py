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
_LONGEST_TEST: Final = 20.0
_SHORTEST_LIMIT: Final = 5.0
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


class Pace:
    """How long tests take without a mutant, on this machine as busy as it is; several trials may note at once."""

    def __init__(self) -> None:
        """Begin without a test."""
        self._seconds: dict[str, float] = {}

    def note(self, test: str, seconds: float) -> None:
        """Take note of a test, as pytest names it, with its parameters or without."""
        for name in {test, test.partition("[")[0]}:
            self._seconds[name] = max(seconds, self._seconds.get(name, 0.0))

    def limit(self, test: str) -> float:
        """For how many seconds it may run with a mutant: ten times as long."""
        return min(_LONGEST_TEST, max(_SHORTEST_LIMIT, 10 * self._seconds.get(test, _LONGEST_TEST)))


class Trial:
    """Runs tests and simulations in one copy of the project."""

    def __init__(self, project: ProjectCopy, notes: Path, pace: Pace) -> None:
        """`notes`: a file for what the tests fail by, and how long they take."""
        self._project: Final = project
        self._notes: Final = notes
        self._pace: Final = pace

    def of(self, mutant: Mutant) -> Outcome:
        """Run what is to find this mutant, with the mutant in the copy."""
        with self._project.with_mutant(mutant):
            return self.run([mutant.by], limit=self._pace.limit(mutant.by))

    def run(self, what: Sequence[str], *, limit: float = 0.0) -> Outcome:
        """Run tests in one process, or one simulation. `limit`: seconds for a test; 0 to note how long it takes."""
        began = time.monotonic()
        outcome = self._simulate(what[0].split()[1:]) if what[0].startswith("simulate ") else self._test(what, limit)
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

    def _test(self, tests: Sequence[str], limit: float) -> Outcome:
        self._notes.write_text("")
        code, said = self._ran(
            "pytest", "-q", "-p", "tests.mutants.verdicts", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "", "-x",
            *tests, limit=limit, longest=_LONGEST + _LONGEST_TEST * len(tests),
        )  # fmt: skip
        notes = [json.loads(line) for line in self._notes.read_text(encoding="utf-8").splitlines()]
        for note in notes if not limit else ():
            if "seconds" in note:
                self._pace.note(note["test"], note["seconds"])
        if code == 0:
            return Outcome("passed", "")
        verdicts = [note for note in notes if "error" in note]
        if code != 1 or not verdicts:
            return Outcome("broken", _last_line(said))
        first = verdicts[0]
        is_program = first["error"] not in _NO_PROGRAM and not _NO_SCRIPT.search(first["text"])
        how = first["error"] if limit else f"{first['error']} in {first['test']}"
        return Outcome("failed" if is_program else "broken", how)

    def _ran(self, module: str, *arguments: str, limit: float = 0.0, longest: float = _LONGEST) -> tuple[int, str]:
        """The exit code of a process in the copy, and what it said; one that takes long is ended with its children."""
        running = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self._project.folder,
            env=self._project.environment(
                MUTANT_NOTES=str(self._notes),
                MUTANT_LIMIT=str(limit or _LONGEST_TEST),
                MUTANT_IS_THERE="1" if limit else "",
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said, _ = running.communicate(timeout=longest)
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
