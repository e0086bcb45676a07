"""Projects that `./run new` writes, and what is typed in them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
_LEFT_OUT: Final = shutil.ignore_patterns(".venv*", ".git", ".run", ".hypothesis", ".*_cache", "__pycache__")


def settings() -> dict[str, str]:
    """The environment without settings of a pipeline, of pytest or of git."""
    begins = ("PIPELINE_", "REDIS_", "PYTEST_", "GIT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(begins)}
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in WHO.items()}
    return {**kept, **who, "COLUMNS": "200"}


WHO: Final = {"NAME": "a reader", "EMAIL": "reader@localhost"}


def typed(folder: Path, *words: str, code: int = 0, seconds: float = 100) -> str:
    """What a command prints in a folder; AssertionError with all of it when it ends with another code."""
    done = subprocess.run(
        list(words), cwd=folder, env=settings(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == code, done.stdout[-8000:]
    return done.stdout


def template(folder: Path) -> Path:
    """A copy of this template, without git, to be changed; returns the folder."""
    shutil.copytree(ROOT, folder, ignore=_LEFT_OUT)
    _know_types(folder)
    return folder


def new(door: Path, folder: Path, *options: str) -> Path:
    """Have the template with this folder write a project, whose environment is the one that runs here."""
    typed(door, "./run", "new", str(folder), *options)
    (folder / ".venv").symlink_to(sys.prefix)
    with (folder / ".git" / "info" / "exclude").open("a") as exclude:
        exclude.write(".venv\n")
    _know_types(folder)
    return folder


def _know_types(folder: Path) -> None:
    """Let mypy begin with what it knows of the same files here: what it has not seen it reads."""
    if (known := ROOT / ".mypy_cache").exists():
        shutil.copytree(known, folder / ".mypy_cache")
