"""A project without the demo, its YOURS files replaced by short ones, is whole: what a forker keeps works alone.

tests/project/test_services.py has such a producer put, and such a consumer handle.
"""

import os
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


@pytest.mark.slow
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
