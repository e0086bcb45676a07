"""The one door: what `./run` says and does before Python takes over."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd, env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=100,
    )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the door that nothing was prepared for yet."""
    copy = tmp_path / "a project"
    shutil.copytree(ROOT / "tools", copy / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run", copy / "run")
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (copy / lock).write_text("# nothing\n")
    return copy


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder for PATH that holds the few programs `./run` needs, and no Python."""
    folder = tmp_path / "path"
    folder.mkdir()
    for program in ("cat", "dirname"):
        (folder / program).symlink_to(shutil.which(program) or program)
    return folder


def fake_python(path: Path, name: str, *, cannot: str) -> None:
    """A Python that fails at every program holding the word `cannot`, and has nothing to say to the others."""
    (path / name).write_text(f'#!/bin/sh\ncase "$*" in *{cannot}*) exit 1 ;; esac\n')
    (path / name).chmod(0o755)


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"], ["-h"]])
def test_help_tells_every_command(arguments: list[str]) -> None:
    done = run(ROOT / "run", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    commands = (
        "setup",
        "demo",
        "server",
        "producer",
        "consumer",
        "clock",
        "example",
        "pipeline",
        "shell",
        "python",
        "test",
        "check",
        "lock",
        "help",
    )
    assert all(f"\n  {command} " in done.stdout for command in commands)


@pytest.mark.parametrize("arguments", [["redis9"], []])
def test_an_unknown_server_is_refused_with_the_list(arguments: list[str]) -> None:
    done = run(ROOT / "run", "test", "--server", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(": take redis7, redis8, valkey8, valkey9\n")


def fake_server(folder: Path, said: str) -> str:
    """PATH with a redis-server in front that says this of its version."""
    folder.mkdir(exist_ok=True)
    (folder / "redis-server").write_text(f"#!/bin/sh\necho '{said}'\n")
    (folder / "redis-server").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_a_server_of_another_version_is_refused(tmp_path: Path) -> None:
    path = fake_server(tmp_path, "Redis server v=8.2.3 sha=00000000:0 malloc=libc bits=64 build=0")
    done = run(ROOT / "run", "test", "--server", "redis7", PATH=path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"run: redis7 is to be Redis 7, and {tmp_path}/redis-server says 'Redis server v=8.2.3 "
    )
    path = fake_server(tmp_path, "Redis server v=7.0.15 sha=00000000:0 malloc=libc bits=64 build=0")
    assert run(ROOT / "run", "test", "--server", "redis7", "--find", PATH=path).returncode == 0


def test_a_python_that_is_not_there_is_refused() -> None:
    done = run(ROOT / "run", "test", "--python", "3.1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "run: there is no python3.1 on PATH, or it does not run\n"


def test_nightly_says_what_is_not_there_and_fails_where_nothing_ran(project: Path, path: Path) -> None:
    done = run(project / "run", "nightly", PATH=str(path))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-3:] == [
        "run: nightly",
        "  Python 3.11: not run, there is no python3.11 on PATH",
        "  Python 3.13: not run, there is no python3.13 on PATH",
    ]


def test_an_unknown_command_is_refused_in_one_line() -> None:
    done = run(ROOT / "run", "tset")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "run: there is no command 'tset'; ./run help lists them\n"


@pytest.mark.slow  # makes two environments
@pytest.mark.timeout(180)
def test_it_prepares_once_from_any_folder_and_anew_when_its_python_is_gone(
    tmp_path: Path, project: Path, path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    door, python = os.path.relpath(project / "run", elsewhere), project / ".venv" / "bin" / "python"
    first = run(door, "setup", cwd=elsewhere, PYTHON=sys.executable)
    assert (first.returncode, first.stdout) == (0, f"ready: {project.resolve() / '.venv'}\n"), first.stderr
    # It may take a while: the first thing that it says is why.
    assert first.stderr.startswith("preparing .venv: downloading what requirements-dev.lock lists, once;")
    assert python.exists()
    assert not list(elsewhere.iterdir())
    # Without any Python on PATH there is nothing to prepare it with, and nothing to prepare.
    again = run(door, "setup", cwd=elsewhere, PATH=str(path), PYTHON="")
    assert (again.returncode, again.stderr) == (0, "")
    python.unlink()
    python.symlink_to("/nowhere/python3")
    anew = run(door, "setup", cwd=elsewhere, PYTHON=sys.executable)
    assert (anew.returncode, python.exists()) == (0, True), anew.stderr


@pytest.mark.parametrize("cannot,advice", [
    ("ensurepip", "python3 cannot create environments (no venv or ensurepip): install them, e.g. 'apt install python3-venv'"),
    ("version_info", "Python 3.11 or later is needed, python3 is older: install one, e.g. 'apt install python3 python3-venv'"),
    ("import", "Python 3.11 or later is needed: install it, e.g. 'apt install python3 python3-venv'"),
])  # fmt: skip
def test_a_python_that_will_not_do_gets_advice(project: Path, path: Path, cannot: str, advice: str) -> None:
    fake_python(path, "python3", cannot=cannot)
    done = run(project / "run", "setup", PATH=str(path), PYTHON="")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"run: {advice}\n")


def test_without_any_python_there_is_advice(project: Path, path: Path) -> None:
    done = run(project / "run", "consumer", PATH=str(path), PYTHON="")
    assert (done.returncode, done.stderr.startswith("run: Python 3.11 or later is needed: install it")) == (2, True)


def test_a_newer_python_that_cannot_is_passed_over(project: Path, path: Path) -> None:
    fake_python(path, "python3.13", cannot="ensurepip")
    fake_python(path, "python3", cannot="nothing")
    done = run(project / "run", "setup", PATH=str(path), PYTHON="")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_chosen_python_may_have_a_space_in_its_path(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    fake_python(folder, "python", cannot="nothing")
    done = run(project / "run", "setup", PYTHON=str(folder / "python"))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_chosen_python_that_is_none_is_named(project: Path) -> None:
    done = run(project / "run", "setup", PYTHON="no-such-python")
    assert (done.returncode, done.stderr) == (2, "run: PYTHON=no-such-python is not a Python 3.11 or later\n")


def test_a_folder_that_is_no_environment_is_left_alone(project: Path) -> None:
    (project / ".venv").mkdir()
    (project / ".venv" / "mine.txt").write_text("dear")
    done = run(project / "run", "setup", PYTHON=sys.executable)
    assert (done.returncode, done.stderr.splitlines()[-1].endswith("move it away")) == (2, True)
    assert (project / ".venv" / "mine.txt").read_text() == "dear"


def test_only_redis_py_8_can_be_asked_for() -> None:
    done = run(ROOT / "run", "test", "--redis-py", "7")
    assert (done.returncode, done.stderr) == (2, "run: test --redis-py takes 8 (the tests run on 5.3 without it)\n")


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_what_fails_runs_once_more_when_asked(tmp_path: Path, times: int) -> None:
    (tmp_path / "test_weather.py").write_text(
        "from pathlib import Path\n"
        "def test_weather():\n"
        "    with (Path(__file__).parent / 'runs').open('a+') as runs:\n"
        "        runs.write('.')\n"
        "        runs.seek(0)\n"
        f"        assert len(runs.read()) > {times}\n"
    )
    done = run(ROOT / "run", "test", "--rerun", tmp_path / "test_weather.py", "-o", f"cache_dir={tmp_path / 'cache'}")
    assert (done.returncode, (tmp_path / "runs").read_text()) == (times - 1, ".."), done.stdout
    assert ("FAILURE, then SUCCESS" in done.stdout) == (times == 1)
