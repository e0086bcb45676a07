"""SIGTERM and Ctrl-C while a service starts: it ends at once, with exit code 0 and without a traceback."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.local.parent_death import tied
from tests.instruments.application import application
from tests.instruments.command_line import ROOT, environment
from tests.instruments.services import Service, running, wait_for

pytestmark = [pytest.mark.usefixtures("command_line"), pytest.mark.timeout(180)]

MODULES = ["producer", "consumer", "producer.clock"]
# What each imports late: a file that belongs to the application.
YOURS = {"producer": "source.py", "consumer": "handlers.py", "producer.clock": "schedule.py"}
BLOCKED = "\nimport sys, time\nsys.stderr.write('importing\\n')\nsys.stderr.flush()\ntime.sleep(60)\n"
STUCK = "\n    print('opening', file=__import__('sys').stderr, flush=True)\n    await __import__('asyncio').Event().wait()\n"


@contextlib.contextmanager
def deaf_server() -> Iterator[tuple[str, threading.Event]]:
    """The address of a server that lets everybody in and answers nothing, and an event: somebody has asked."""
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    kept.append(connection)
                    connection.recv(1)
                    asked.set()

        kept: list[socket.socket] = []
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0", asked
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for connection in kept:
                connection.close()


def end(process: "Service | subprocess.Popen[str]", ending: signal.Signals) -> None:
    """Send it the signal: it has to end soon, with 0, and say nothing wrong."""
    process.send_signal(ending)
    began = time.monotonic()
    _, said = process.communicate(timeout=90)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert time.monotonic() - began < 9, said


@contextlib.contextmanager
def started(module: str, url: str) -> Iterator["subprocess.Popen[str]"]:
    """A service as its user starts it."""
    variables = environment(PYTHONPATH=str(application()), REDIS_URL=url)
    with subprocess.Popen(
        [sys.executable, "-m", module],
        env=variables, cwd=application(), stderr=subprocess.PIPE, text=True, preexec_fn=tied(),  # noqa: PLW1509
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def catches(process: "subprocess.Popen[str]") -> bool:
    """Whether a process has a handler of SIGTERM by now."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) & 1 << (signal.SIGTERM - 1))
    raise AssertionError("the system does not tell")


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("module", MODULES)
def test_signals_are_caught_before_the_imports(module: str, ending: signal.Signals) -> None:
    # From the very start of its Python, which a forked process has behind it.
    with deaf_server() as (url, _), started(module, url) as process:
        while not catches(process):
            assert process.poll() is None
        libraries = Path(f"/proc/{process.pid}/maps").read_text()
        end(process, ending)
    assert "pydantic" not in libraries


@pytest.mark.parametrize("module", MODULES)
def test_a_signal_during_the_imports_of_an_application_ends_it_with_0(copy: Path, url: str, module: str) -> None:
    with (copy / module.partition(".")[0] / YOURS[module]).open("a") as file:
        file.write(BLOCKED)
    with running(module, copy, REDIS_URL=url) as process:
        wait_for(process, "importing")
        end(process, signal.SIGTERM)


@pytest.mark.parametrize("module", MODULES)
def test_a_signal_before_the_server_has_answered_ends_it_with_0(module: str) -> None:
    with deaf_server() as (url, asked), running(module, REDIS_URL=url) as process:
        assert asked.wait(90)
        end(process, signal.SIGTERM)


@pytest.mark.parametrize("module", ["consumer", "producer.clock"])
def test_a_signal_while_resources_are_opened_ends_it_with_0(copy: Path, url: str, name: str, module: str) -> None:
    resources = copy / "shared" / "resources.py"
    resources.write_text(resources.read_text().replace("    note = ", f"{STUCK}    note = "))
    schedule = copy / "producer" / "schedule.py"
    schedule.write_text(schedule.read_text().replace("    cron_jobs:", "    uses_resources = True\n    cron_jobs:"))
    with running(module, copy, REDIS_URL=url, PIPELINE_QUEUE=name) as process:
        wait_for(process, "opening")
        end(process, signal.SIGTERM)


def test_an_early_interrupt_of_a_command_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(BLOCKED)
    with subprocess.Popen(
        [sys.executable, "-m", "cli.begin", "slow"],
        env=environment(PYTHONPATH=f"{ROOT}:{tmp_path}"), cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_for(process, "importing")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=90)
    assert (process.returncode, said) == (130, "run: interrupted\n")
