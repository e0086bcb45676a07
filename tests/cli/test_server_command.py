"""`./run server`: the embedded server in the foreground, and the address that it leaves."""

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from shared.local.address import read_address

ROOT = Path(__file__).resolve().parent.parent.parent
# Under another environment than .venv, ./run would prepare that one first.
COMMAND = [str(ROOT / "run"), "server"] if Path(sys.prefix) == ROOT / ".venv" else [sys.executable, "-m", "cli.server"]


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The command as a process, once it has said its address."""
    command = [*COMMAND, "--directory", str(directory)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509  # under nohup we inherit that it is ignored
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def refused(*arguments: str) -> str:
    """The one line that the command refuses these arguments with."""
    done = subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_leaves_its_address_and_a_signal_ends_it_and_takes_the_address_away(
    tmp_path: Path, ending: signal.Signals
) -> None:
    with serving(tmp_path) as (process, url):
        assert read_address(tmp_path) == url
        with redis.Redis.from_url(url) as client:
            assert client.ping()
        process.send_signal(ending)
        _, said = process.communicate(timeout=90)
        assert process.returncode == 0
        assert re.search(
            r"^(Valkey|Redis) \d+\.\d+\.\d+ is running and keeps its data in .*; Ctrl-C stops it$", said, re.MULTILINE
        )
    assert not (tmp_path / "address").exists()
    assert not (tmp_path / "server.sock").exists()


@pytest.mark.slow
def test_it_keeps_its_data_over_kill_9(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, url):
        with redis.Redis.from_url(url) as client:
            client.set("key", "value")
        process.kill()
    with serving(tmp_path) as (_, url), redis.Redis.from_url(url) as client:
        assert client.get("key") == b"value"


def test_it_says_so_when_the_server_ends_by_itself(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, url):
        with redis.Redis.from_url(url) as client:
            client.shutdown(nosave=True)
        _, said = process.communicate(timeout=90)
        assert process.returncode == 1
    assert f"the server ended by itself; its log is {tmp_path / 'server.log'}" in said
    assert not (tmp_path / "address").exists()


@pytest.mark.slow
def test_a_second_one_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, url):
        assert "another server runs" in refused("--directory", str(tmp_path))
        assert read_address(tmp_path) == url


@pytest.mark.parametrize("arguments", [["--port", "65536"], ["--port", "x"], ["--directory", "/dev/null"], ["extra"]])
def test_bad_arguments_are_refused_in_one_line(arguments: list[str]) -> None:
    assert "error" in (line := refused(*arguments)) or line.startswith("run: ")
