"""Commit: what a run was of, for whoever publishes its figures."""

import subprocess
from pathlib import Path


def commit_of(root: Path) -> str:
    """The commit that is checked out, and whether files differ from it; in a few words."""
    short = _git(root, "rev-parse", "--short=8", "HEAD")
    if not short:
        return "no commit"
    return f"commit {short} with changes" if _git(root, "status", "--porcelain") else f"commit {short}"


def _git(root: Path, *words: str) -> str:
    """What git says; nothing where there is no git, or no checkout of it."""
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)  # noqa: S607  # wherever it is
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
