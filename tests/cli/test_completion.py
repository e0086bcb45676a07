"""Completion: what the shells offer behind ./run, asked through the shells that are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.instruments.command_line import command, environment

ROOT = Path(__file__).resolve().parent.parent.parent
ASKED = {
    "bash": 'source <(./run completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weir_run;'
    'printf "%s\\n" "${COMPREPLY[@]}"',
    # What _describe gets: the word, a colon, its help.
    "zsh": "compdef() { : }; _describe() { print -l -- ${offers%%:*} }; _files() { : };"
    'source <(./run completion zsh); words=("$@"); CURRENT=$#; _weir_run',
    "fish": './run completion fish | source; complete -C "$argv" | string replace -r "\\t.*" ""',
}
LINES = {
    "./run pip": {"pipeline"},
    "./run camp": {"campaign"},
    "./run pipeline queue sh": {"shares", "show", "shutdown"},
    "./run pipeline dead discard --y": {"--yes"},
    "./run bench sha": {"shared"},
}

pytestmark = pytest.mark.usefixtures("command_line")


@pytest.mark.parametrize(
    "words,offered",
    [
        ("que", {"queue"}),
        ("dead discard --a", {"--all"}),
        ("queue resize --max-", {"max_attempts"}),
        ("nothing x", set()),
    ],
)
def test_the_command_line_offers_what_may_come_next(words: str, offered: set[str]) -> None:
    done = command((), environment(_RUN_COMPLETE=words.replace(" ", "\n")))
    found = {line.split("\t")[0] for line in done.stdout.splitlines() if line}
    assert done.returncode == 0, done.stderr
    assert found == offered or {f"--{word.replace('_', '-')}" for word in offered} <= found


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the door, and the environment of these tests."""
    folder = tmp_path_factory.mktemp("door")
    shutil.copy(ROOT / "run", folder)
    for name in ("cli", "shared", "monitor", "tools"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("shell", ASKED)
def test_a_shell_offers_it(shell: str, door: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    for line, offered in LINES.items():
        words = [line] if shell == "fish" else [shell, *line.split()]
        asked = [shell, *{"bash": ["--norc"], "zsh": ["-f"], "fish": ["-N"]}[shell], "-c", ASKED[shell], *words]
        done = subprocess.run(
            asked,
            cwd=door,
            env={**os.environ, "HOME": str(door)},
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
        found = {word.rstrip("/") for word in done.stdout.split("\n") if word}
        # Bash and zsh go on with the names of files by themselves.
        assert found == (offered if shell == "fish" else offered - {"shared"}), (line, done.stderr)


def test_nothing_is_prepared_because_somebody_pressed_a_key(tmp_path: Path) -> None:
    shutil.copy(ROOT / "run", tmp_path)
    done = subprocess.run(
        ["./run", "completion", "--words", "pipeline", ""], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_another_shell_is_told_which_there_are(door: Path) -> None:
    done = subprocess.run(["./run", "completion", "csh"], cwd=door, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "run: completion takes bash, zsh or fish: ./run completion bash\n")
