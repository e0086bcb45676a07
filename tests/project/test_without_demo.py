"""A project without the demo, its YOURS files replaced by short ones, is whole: what a forker keeps works alone.

tests/project/test_services.py has such a producer put, and such a consumer handle.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.instruments.application import DEMO, YOURS, fork

IMPORT_ALL = """
import importlib, os, pathlib
os.environ["REDIS_URL"] = "redis://localhost"  # the schedule asks for an address
for path in pathlib.Path().glob("*/**/*.py"):
    if path.parts[0] in {"shared", "producer", "consumer", "monitor", "cli", "examples"} and path.name != "__init__.py":
        importlib.import_module(".".join(path.with_suffix("").parts))
print("whole")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fork(tmp_path_factory.mktemp("fork") / "project")


def python(project: Path, *words: str, seconds: float = 150) -> str:
    """What a command of the project prints; AssertionError with all of it when it fails."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "REDIS_", "PYTEST_"))
    }
    done = subprocess.run(
        [sys.executable, *words], cwd=project, env={**kept, "PYTHONPATH": str(project)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def commit(project: Path) -> None:
    """Some tests look at what is committed."""
    git = shutil.which("git") or "git"
    subprocess.run([git, "init", "--quiet"], cwd=project, check=True, timeout=120)
    (project / ".git" / "info" / "exclude").write_text(".venv\n")
    who = ("-c", "user.name=a forker", "-c", "user.email=forker@localhost")
    for words in (("add", "--all"), (*who, "commit", "--quiet", "--message", "Without the demo")):
        subprocess.run([git, *words], cwd=project, check=True, timeout=120)


def test_every_module_is_imported_without_the_demo(project: Path) -> None:
    assert not any((project / folder).exists() for folder in DEMO)
    assert python(project, "-W", "error", "-c", IMPORT_ALL) == "whole\n"


@pytest.mark.slow
def test_the_import_directions_hold(project: Path) -> None:
    python(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/project/test_imports.py")


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_short_files_are_typed(project: Path, tmp_path: Path) -> None:
    python(project, "-m", "mypy", f"--cache-dir={tmp_path}", *YOURS, seconds=500)


def test_the_demo_is_missed_in_one_line(project: Path) -> None:
    done = subprocess.run([project / "run", "demo"], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "run: the demo is not in this project any more\n"


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_it_passes_check_and_its_tests(project: Path) -> None:
    commit(project)
    python(project, "-m", "ruff", "check", "--no-cache", ".")
    python(project, "-m", "ruff", "format", "--no-cache", "--check", ".")
    python(project, "-m", "mypy", seconds=600)
    # What bounds a measured time has its run elsewhere, with little beside it.
    marks = "not slow and not timing"
    python(project, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-m", marks, seconds=2800)
