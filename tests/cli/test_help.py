"""The help of the command line, and what it advises: every command that it names is there."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cli.__main__ import app
from tests.instruments.application import SERVICES, make
from tests.instruments.command_line import command, environment

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = typer.main.get_command(app)

pytestmark = pytest.mark.usefixtures("command_line")


def commands(of: Any, *before: str) -> list[tuple[str, ...]]:
    """The words of a command, and of all below it."""
    below = getattr(of, "commands", {})
    return [before, *(words for name, each in below.items() for words in commands(each, *before, name))]


ALL = commands(COMMAND)


def test_every_help_names_the_command_as_it_is_called() -> None:
    for words in ((), ("queue", "show")):
        done = command((*words, "--help"), environment(COLUMNS="200"))
        assert done.stdout.startswith(f"Usage: {' '.join(('./run', 'pipeline', *words))} "), done.stdout


def test_every_help_states_the_exit_codes() -> None:
    for words in ALL:
        found = COMMAND
        for word in words:
            found = found.commands[word]  # type: ignore[attr-defined]  # groups alone have more words
        assert "Exit codes: 0 done; 1 " in (found.epilog or ""), words


@pytest.mark.parametrize(
    "module,door",
    [
        ("consumer", "consumer"), ("producer", "producer"), ("producer.clock", "clock"), ("cli.server", "server"),
        ("examples", "example"),
    ],
)  # fmt: skip
def test_the_help_of_what_the_door_starts_names_its_command_and_exit_codes(module: str, door: str) -> None:
    done = command(("--help",), environment(COLUMNS="100"), module)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: ./run {door} ["), done.stdout
    assert "Exit codes: 0 " in done.stdout


def test_whatever_shows_or_changes_something_at_the_server_answers_a_script_in_json() -> None:
    for words in ALL:
        found = COMMAND
        for word in words:
            found = found.commands[word]  # type: ignore[attr-defined]  # groups alone have more words
        options = {option for parameter in found.params for option in parameter.opts}
        assert hasattr(found, "commands") or "--json" in options or words in {("acl",), ("schema",), ("scripts",)}, (
            words
        )


@pytest.mark.slow
def test_where_there_is_no_door_help_names_none(tmp_path: Path) -> None:
    here = make(tmp_path / "container", (*SERVICES, "monitor", "cli"))
    for words, begins in ((("cli",), "Usage: python -m cli "), (("consumer",), "usage: consumer ")):
        done = subprocess.run(
            [sys.executable, "-m", *words, "--help"], cwd=here, env=environment(PYTHONPATH=str(here)),
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.stdout.startswith(begins), done.stdout + done.stderr
    (tmp_path / "pipeline").write_text("from cli.__main__ import main\nmain()\n")  # as a wheel has it
    done = subprocess.run(
        [sys.executable, str(tmp_path / "pipeline"), "queue", "--help"], cwd=tmp_path,
        env=environment(PYTHONPATH=str(here)), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.startswith("Usage: pipeline queue "), done.stdout + done.stderr


def test_every_command_that_a_text_advises_is_there() -> None:
    door = (ROOT / "run").read_text(encoding="utf-8")
    advised = []
    for folder in ("cli", "monitor", "shared", "consumer", "producer"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            advised += re.findall(r"`?(?:\./run )([a-z-]+(?: [a-z]+)*)", text)
            # The bare name is no command of a clone.
            assert not re.search(r"`pipeline (?!\.)", text), path
    assert len(advised) > 10
    for line in advised:
        first, *words = line.split()
        assert re.search(rf"^  {first}\b", door, flags=re.MULTILINE), line
        if first == "pipeline" and words:
            assert tuple(words[:1]) in ALL, line
            assert len(words) == 1 or tuple(words[:2]) in ALL or words[0] in {"schema", "scripts"}, line
