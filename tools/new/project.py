"""A project: made from the template, and brought what the template has become since."""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from tools.new.cuts import is_cut, own_files
from tools.new.mistake import Mistake
from tools.new.names import SCHEMA, edit
from tools.new.repository import UPSTREAM, Repository, copy, files_of, version_of

TEMPLATE: Final = Path(__file__).resolve().parent.parent.parent


def make(folder: Path, name: str, *, example: bool) -> None:
    """Write a project: its first commit is the template whole, its second cuts and renames.

    :raises Mistake: when the name is none, or the folder is there and not empty.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*", name) or len(name) > 40:
        raise Mistake(
            f"a name is up to 40 lower-case letters, digits and single hyphens, for example mail-jobs; not {name!r}"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Mistake(f"{folder} is there and not empty: name another directory")
    if TEMPLATE in (folder.resolve(), *folder.resolve().parents):
        raise Mistake(f"{folder} is inside the template: name a directory elsewhere")
    folder.mkdir(parents=True, exist_ok=True)
    repository, version = Repository(folder), version_of(TEMPLATE)
    repository.begin()
    copy(TEMPLATE, folder)
    repository.commit("Take the template whole", f"Weir {version}. Later ones are committed here and merged.")
    repository.git("checkout", "--quiet", "-b", "main")
    cut(folder, name, version, example=example)
    repository.commit(f"Begin {name}", "What only the template has is cut, and the rest has its own name.")


def cut(folder: Path, name: str, version: str, *, example: bool) -> None:
    """Make of the template a project."""
    for path in files_of(TEMPLATE):
        if is_cut(path, example=example):
            (folder / path).unlink()
    for inside in sorted(folder.rglob("*"), reverse=True):
        if inside.is_dir() and ".git" not in inside.parts and not any(inside.iterdir()):
            inside.rmdir()
    for path, text in own_files(name, version, example=example).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    edit(folder, name, example=example)


def update(folder: Path) -> list[str]:
    """Commit the template of now on `upstream`, and merge it; returns the files that git could not merge.

    With none the merge is committed. Else it waits: mend them, `git add` them, `git commit`.

    :raises Mistake: when the folder is no project of ours, or holds what is not committed.
    """
    repository, version = Repository(folder), version_of(TEMPLATE)
    if repository.asked("rev-parse", "--verify", "--quiet", UPSTREAM)[0]:
        raise Mistake(f"{folder} has no branch `{UPSTREAM}`: ./run new made no project there")
    if not repository.is_clean():
        raise Mistake(f"{folder} has changes that are not committed: commit them first")
    example = (folder / "cli" / "demo").exists()
    if not _take(repository, version) and repository.holds(UPSTREAM):  # an earlier merge may have been aborted
        return []
    code, said = repository.asked("merge", "--no-commit", "--no-ff", UPSTREAM)
    left = [path for path in repository.git("diff", "--name-only", "--diff-filter=U", "-z").split("\0") if path]
    if code and not left:
        raise Mistake(f"git merge failed: {said.strip()}")
    left = _settled(repository, left, example=example)
    if not left:
        repository.commit(f"Take Weir {version}", "Merged from the branch `upstream`.")
    return left


def _take(repository: Repository, version: str) -> bool:
    """Commit the template on its branch, in a work tree beside; False where nothing has changed."""
    with tempfile.TemporaryDirectory(prefix="weir-") as scratch:
        beside = Path(scratch) / "upstream"
        repository.git("worktree", "add", "--quiet", str(beside), UPSTREAM)
        try:
            upstream = Repository(beside)
            upstream.git("rm", "-r", "--quiet", ".")
            copy(TEMPLATE, beside)
            upstream.git("add", "--all")
            if upstream.is_clean():
                return False
            upstream.commit(f"Take Weir {version}", "The template whole.")
        finally:
            shutil.rmtree(beside, ignore_errors=True)
            repository.git("worktree", "prune")
    return True


def _settled(repository: Repository, left: list[str], *, example: bool) -> list[str]:
    """Settle what is no question: what a project does not have stays away, what it says in its own words stays its own.

    Returns the conflicts that are left.
    """
    own = {*own_files("", "", example=example), SCHEMA}
    base = repository.git("merge-base", "HEAD", UPSTREAM).strip()
    merged = [path for path in repository.git("ls-files", "-z").split("\0") if path]
    settled = {path for path in {*merged, *left} if path in own or is_cut(path, example=example)}
    for path in sorted(settled):
        here, before = repository.blob("HEAD", path), repository.blob(base, path)
        if here and (path in own or here != before):  # its own, or written where the template has what is cut
            repository.git("checkout", "HEAD", "--", path)
        elif is_cut(path, example=example):
            repository.git("rm", "--force", "--quiet", "--ignore-unmatch", "--", path)
    return [path for path in left if path not in settled]
