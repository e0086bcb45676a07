"""Compares this checkout with a commit: the same workloads, rounds interleaved, and the commit with itself as well.

"No worse than N %" means: no median is worse than the commit's by more than N %, or by more than the commit's second
run differs from its first, whichever is more. What else the machine does affects all three alike.
"""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.contestants import ROOT, BenchmarkError, Contestant
from benchmarks.report import number, table, titled

THIS: Final = "this"
_MORE_IS_BETTER: Final = {"per_second"}


@dataclass(frozen=True)
class Figure:
    """One median of this checkout beside the commit's, and beside that of the commit's second run."""

    workload: str
    word: str
    this: float
    commit: float
    again: float

    @property
    def worse(self) -> float:
        """How much worse this is than the commit, in percent; negative when it is better."""
        ratio = self.this / self.commit
        return 100 * (1 - ratio if self.word in _MORE_IS_BETTER else ratio - 1)

    @property
    def spread(self) -> float:
        """How much the commit differs from itself, in percent."""
        return 100 * abs(self.again / self.commit - 1)

    def holds(self, percent: float) -> bool:
        """Return whether this is no worse than `percent` or than the spread, whichever is more."""
        return self.worse <= max(percent, self.spread)


@contextmanager
def contestants(commit: str) -> Iterator[list[Contestant]]:
    """Yield this checkout as it is, and the commit twice, from a copy that is removed at the end of the block.

    :raises BenchmarkError: when there is no such commit, or no repository.
    """
    sha = (
        _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}", what=commit)
        .decode()
        .strip()
    )
    python = Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", sha, what=commit))) as archive:
            archive.extractall(folder, filter="data")
        there = Path(folder)
        yield [
            Contestant(THIS, "benchmarks.ours", python, "as it stands", is_peer=False),
            Contestant(commit, "benchmarks.ours", python, sha[:12], is_peer=False, root=there),
            Contestant(f"{commit} again", "benchmarks.ours", python, sha[:12], is_peer=False, root=there),
        ]


def _git(*words: str, what: str) -> bytes:
    git = shutil.which("git")
    if git is None:
        raise BenchmarkError("--compare needs git, which is not installed")
    done = subprocess.run([git, *words], cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        if not (ROOT / ".git").exists():
            raise BenchmarkError("--compare needs the project's git repository, and this is a copy without it")
        raise BenchmarkError(f"there is no commit {what} in this repository (a shallow clone has only the last ones)")
    return done.stdout


def figures(result: dict[str, Any], commit: str) -> list[Figure]:
    """Return every median that all three have, by workload; variants ("4 workers") are figures of their own."""
    found = []
    for workload in result["workloads"]:
        values: dict[str, dict[str, list[float]]] = workload["values"]
        for name, measured in values.items():
            if name != THIS and not name.startswith(f"{THIS}, "):
                continue
            rest = name.removeprefix(THIS)
            theirs, again = values[f"{commit}{rest}"], values[f"{commit} again{rest}"]
            found += [
                Figure(workload["name"] + rest, word, *(median(each[word]) for each in (measured, theirs, again)))
                for word in measured
                if median(theirs[word]) > 0
            ]
    return found


def report(found: list[Figure], commit: str, percent: float) -> str:
    """Return a table of all figures, and a last line with the verdict: whether this is no worse than `percent`."""
    lines = [
        (
            f"{one.workload}: {titled(one.word)}",
            number(one.this),
            number(one.commit),
            f"{one.this / one.commit:.3f}",
            f"{one.again / one.commit:.3f}",
            "yes" if one.holds(percent) else f"worse by {one.worse:.1f} %",
        )
        for one in found
    ]
    head = (
        "figure (median)",
        THIS,
        commit,
        f"{THIS} to {commit}",
        f"{commit} to itself",
        f"no worse than {percent:g} %",
    )
    failed = [one for one in found if not one.holds(percent)]
    verdict = (
        f"{THIS} is no worse than {commit} by more than {percent:g} % or the spread of {commit} against itself"
        if not failed
        else f"{len(failed)} of {len(found)} figures are worse than {commit} by more than {percent:g} % and than its spread"
    )
    return f"{table(head, lines)}\n\n{verdict}\n"
