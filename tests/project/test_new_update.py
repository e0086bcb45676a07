"""`./run new DIRECTORY --update`: a project takes what the template has become, and keeps what is its own."""

from pathlib import Path

import pytest

from tests.instruments.new_project import new, template, typed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def change(folder: Path, file: str, old: str, instead: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text, file
    (folder / file).write_text(text.replace(old, instead, 1), encoding="utf-8")


MINE = ("CHANGELOG.md", "benchmarks/mine.py", "docs/assets/logo.svg")


def commit(project: Path, subject: str) -> None:
    typed(project, "git", "add", "--all")
    typed(project, "git", "commit", "--quiet", "--message", subject)


def test_an_update_brings_fixes_and_leaves_what_is_yours(tmp_path: Path) -> None:
    door = template(tmp_path / "weir")
    project = new(door, tmp_path / "mail", "--name", "mail-jobs")
    assert "has what the template has" in typed(door, "./run", "new", str(project), "--update")

    # The reader's own work, committed.
    change(project, "consumer/handlers.py", "Count the greetings", "Count the warm greetings")
    change(project, "README.md", "# mail-jobs", "# The mail of our house")
    (project / "shared" / "letters.py").write_text('"""Ours."""\n')
    for file in MINE:  # where the template has what a project has not
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_text(f"Our own {file}.\n")
    commit(project, "Greet warmly")

    # The template goes on: a fix, a new file, and changes of what the project does not have or has in its own words.
    change(door, "shared/concurrency/session/clock.py", '"""', '"""Mended: ')
    change(door, "docs/handlers.md", "# ", "# Mended: ")
    change(door, "shared/version.py", 'VERSION: Final = "', 'VERSION: Final = "99.')  # a release, as each is
    change(door, "pyproject.toml", '"rich>=', '"rich!=99,>=')
    (door / "shared" / "mended.py").write_text('"""New in the template."""\n')
    (door / "benchmarks" / "another.py").write_text('"""Cut."""\n')
    (door / "docs" / "schema" / "Another.json").write_text("{}\n")
    change(door, "benchmarks/report.py", '"""', '"""Mended: ')
    change(door, "README.md", "# Weir", "# Weir, mended")
    change(door, "consumer/handlers.py", '"""YOURS: ', '"""YOURS: mended ')
    change(door, "shared/demo/messages.py", '"""', '"""Mended: ')
    (door / "docs" / "assets" / "weir.svg").unlink()
    change(door, "CHANGELOG.md", "# Changelog", "# Changelog, mended")

    said = typed(door, "./run", "new", str(project), "--update")
    assert "has what the template has" in said
    assert typed(project, "git", "status", "--porcelain") == ""
    assert typed(project, "git", "rev-parse", "--abbrev-ref", "HEAD").strip() == "main"
    assert len(typed(project, "git", "log", "--format=%s", "upstream").splitlines()) == 2
    for file in ("shared/concurrency/session/clock.py", "docs/handlers.md"):
        assert "Mended: " in (project / file).read_text(encoding="utf-8"), file
    assert (project / "shared" / "mended.py").exists()
    assert (project / "shared" / "letters.py").exists()
    assert "warm" in (project / "consumer" / "handlers.py").read_text(encoding="utf-8")
    assert "mended" not in (project / "consumer" / "handlers.py").read_text(encoding="utf-8")
    assert (project / "README.md").read_text(encoding="utf-8").startswith("# The mail of our house")
    for file in MINE:
        assert (project / file).read_text(encoding="utf-8") == f"Our own {file}.\n"
    for gone in (
        "benchmarks/another.py",
        "benchmarks/report.py",
        "shared/demo",
        "docs/schema/Another.json",
        "docs/assets/weir.svg",
        "tools/new",
    ):
        assert not (project / gone).exists(), gone
    packages = (project / "pyproject.toml").read_text(encoding="utf-8")
    assert 'name = "mail-jobs"' in packages
    assert '"rich!=99,>=' in packages
    assert '"0.1.0"' in (project / "shared" / "version.py").read_text(encoding="utf-8")
    assert typed(project, "git", "log", "-1", "--format=%s").startswith("Take Weir 99.")
    assert "1 passed" in typed(project, "./run", "test", "tests/job/test_greet.py::test_a_greeting_is_counted")


def test_what_both_sides_changed_is_a_conflict_that_the_reader_mends(tmp_path: Path) -> None:
    door = template(tmp_path / "weir")
    project = new(door, tmp_path / "words", "--example")
    change(project, "docs/handlers.md", "# ", "# Ours: ")
    assert "not committed" in typed(door, "./run", "new", str(project), "--update", code=2)
    commit(project, "Say it in our words")
    change(door, "docs/handlers.md", "# ", "# Theirs: ")
    change(door, "shared/demo/messages.py", '"""', '"""Mended: ')
    change(door, "shared/version.py", 'VERSION: Final = "', 'VERSION: Final = "99.')
    change(door, "docs/schema/asyncapi.json", '"version": "', '"version": "99.')
    said = typed(door, "./run", "new", str(project), "--update", code=1)
    assert said.splitlines()[1:] == ["  docs/handlers.md"]
    assert '"version": "0.1.0"' in (project / "docs" / "schema" / "asyncapi.json").read_text(encoding="utf-8")
    # One that was aborted is begun again.
    typed(project, "git", "merge", "--abort")
    assert typed(door, "./run", "new", str(project), "--update", code=1) == said
    change(project, "docs/handlers.md", "<<<<<<<", "")
    typed(project, "git", "checkout", "--theirs", "docs/handlers.md")
    commit(project, "Take the fixes")
    assert (project / "docs" / "handlers.md").read_text(encoding="utf-8").startswith("# Theirs: ")
    assert "Mended: " in (project / "shared" / "demo" / "messages.py").read_text(encoding="utf-8")
    assert typed(project, "git", "merge-base", "--is-ancestor", "upstream", "HEAD") == ""
    assert "no branch" in typed(door, "./run", "new", str(door), "--update", code=2)
