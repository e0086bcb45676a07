"""A run names the commit that it was of."""

import subprocess
from pathlib import Path

from tests.campaigns.commit import commit_of


def test_a_run_names_its_commit_and_whether_anything_differs_from_it(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=n", "-c", "user.email=e@localhost")
        command = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert commit_of(tmp_path) == "no commit"
    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "first")
    assert commit_of(tmp_path) == f"commit {git('rev-parse', 'HEAD')[:8]}"
    (tmp_path / "file").write_text("2")
    assert commit_of(tmp_path) == f"commit {git('rev-parse', 'HEAD')[:8]} with changes"
