"""Repository: git, as far as a project and its updates need it."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tools.new.mistake import Mistake

UPSTREAM: Final = "upstream"
"""The branch that has the template whole, one commit for each time it was taken."""
_LEFT_OUT: Final = {".git", ".run", ".hypothesis", "__pycache__", "build", "dist", ".env", ".idea", ".vscode"}


class Repository:
    """A folder under git."""

    def __init__(self, folder: Path) -> None:
        """`folder`: where git is called."""
        self.folder: Final = folder

    def git(self, *words: str) -> str:
        """What git prints.

        :raises Mistake: with what git said, when it fails.
        """
        code, said = self.asked(*words)
        if code:
            raise Mistake(f"git {words[0]} failed in {self.folder}: {said.strip() or code}")
        return said

    def asked(self, *words: str) -> tuple[int, str]:
        """The exit code of git, and what it prints."""
        program = shutil.which("git")
        if program is None:
            raise Mistake("git is needed: install it, e.g. 'apt install git'")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("GIT_") or "_NAME" in name or "_EMAIL" in name
        }
        done = subprocess.run(
            [program, *words], cwd=self.folder, env=kept, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def begin(self) -> None:
        """Make a repository whose first branch is that of the template."""
        self.git("init", "--quiet")
        self.git("symbolic-ref", "HEAD", f"refs/heads/{UPSTREAM}")

    def commit(self, subject: str, body: str) -> None:
        """Commit all there is; under a name of ours where nobody has told git one."""
        self.git("add", "--all")
        who: list[str] = []
        if self.asked("config", "user.email")[0] and "GIT_AUTHOR_EMAIL" not in os.environ:
            who = ["-c", "user.name=./run new", "-c", "user.email=new@localhost"]
        self.git(
            *who,
            "-c",
            "commit.gpgsign=false",
            "commit",
            "--quiet",
            "--no-verify",
            "--message",
            subject,
            "--message",
            body,
        )

    def blob(self, commit: str, path: str) -> str:
        """What names the content of a file in a commit; empty where it has no such file."""
        missing, said = self.asked("rev-parse", "--verify", "--quiet", f"{commit}:{path}")
        return "" if missing else said.strip()

    def holds(self, commit: str) -> bool:
        """Whether the current branch has this commit."""
        return not self.asked("merge-base", "--is-ancestor", commit, "HEAD")[0]

    def is_clean(self) -> bool:
        """Whether everything is committed."""
        return not self.git("status", "--porcelain").strip()


def files_of(template: Path) -> list[str]:
    """The files of the template, as git knows them; without git, all but what is left out of it."""
    if (template / ".git").exists():
        found = Repository(template).git("ls-files", "-z").split("\0")
        return sorted(path for path in found if path and (template / path).is_file())
    return sorted(
        path.relative_to(template).as_posix()
        for path in template.rglob("*")
        if path.is_file()
        and not any(
            part in _LEFT_OUT or part.startswith(".venv") or part.endswith("_cache")
            for part in path.relative_to(template).parts
        )
    )


def copy(template: Path, into: Path) -> None:
    """Copy the template whole."""
    for name in files_of(template):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(template / name, into / name)


def version_of(template: Path) -> str:
    """Which template this is: its version, and its commit where it is under git."""
    (line,) = [
        line
        for line in (template / "shared" / "version.py").read_text(encoding="utf-8").splitlines()
        if line.startswith("VERSION: ")
    ]
    version = line.partition('"')[2].rstrip('"')
    if (template / ".git").exists():
        version += f" ({Repository(template).git('rev-parse', '--short=12', 'HEAD').strip()})"
    return version
