"""The conformance suite on newer Pythons, whose asyncio promises more than that of the oldest one that is served."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.instruments.command_line import ROOT, environment

USABLE: Final = "import sys, venv, ensurepip; print(sys.version_info[:2])"


def run(*command: str | Path, seconds: float) -> "subprocess.CompletedProcess[str]":
    variables = {name: value for name, value in environment().items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds,
    )  # fmt: skip


def found(version: tuple[int, int]) -> str:
    """This version's Python; skips the test where PATH has none, or none that can build an environment."""
    if sys.version_info[:2] == version:
        pytest.skip("this very Python: the suite runs on it anyhow")
    name = "python{}.{}".format(*version)
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"there is no {name} on PATH")
    asked = run(path, "-I", "-S", "-c", USABLE, seconds=30)
    if asked.stdout.strip() != str(version):
        pytest.skip(f"the {name} on PATH does not run, or cannot build an environment")
    return path


@pytest.mark.slow  # makes an environment, as ./run setup does; once, for it is kept
@pytest.mark.alone
@pytest.mark.timeout(700)
@pytest.mark.parametrize("version", [(3, 13), (3, 14)], ids=["3.13", "3.14"])
def test_the_conformance_suite_passes_on_it(version: tuple[int, int]) -> None:
    python, folder = found(version), ".venv-{}.{}".format(*version)
    locks = ("requirements.lock", "requirements-dev.lock")
    prepared = run(python, "-I", "tools/environment.py", folder, *locks, seconds=300)
    assert prepared.returncode == 0, prepared.stderr
    suite = run(
        ROOT / folder / "bin" / "python",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/conformance",
        seconds=300,
    )
    assert suite.returncode == 0, suite.stdout[-5000:] + suite.stderr[-2000:]
    summary = suite.stdout.splitlines()[-1]
    assert " passed" in summary
    assert "skipped" not in summary  # asyncio has all of it there
