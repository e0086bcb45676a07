"""What is for development: a service that starts anew when a file changes, and a prompt with an open pipeline."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.concurrency import Queue, Session
from shared.local.parent_death import tied
from shared.message import Message
from tests.instruments.application import SERVICES, make
from tests.instruments.command_line import ROOT, environment
from tests.instruments.handlers import order
from tests.instruments.services import wait_for

pytestmark = pytest.mark.timeout(60)

HANDLER = "from consumer.registry import handles\nfrom shared.messages import Errand\n\n\n@handles(Errand)\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make(tmp_path / "project", (*SERVICES, "cli", "monitor"))


def handler(project: Path, result: str) -> None:
    """Have errands return this; each file is as long as the last, and of the same second: Python takes its bytecode."""
    written = project / "handlers.written"
    written.write_text(f"{HANDLER}async def f(delivery):\n    return {result}\n")
    os.utime(written, (1_700_000_000, 1_700_000_000))
    written.replace(project / "consumer" / "handlers.py")


@contextlib.contextmanager
def reloading(project: Path, **settings: str) -> Iterator["subprocess.Popen[str]"]:
    """A consumer that is started anew when a file of this copy changes."""
    with subprocess.Popen(
        [sys.executable, "-m", "cli.reload", "consumer"],
        env=environment(PYTHONPATH=str(project), **settings), cwd=project, stderr=subprocess.PIPE, text=True,
        preexec_fn=tied(),  # noqa: PLW1509
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow  # four services, each from the start of its Python
async def test_a_change_drains_the_service_and_starts_it_anew(project: Path, url: str, name: str) -> None:
    handler(project, "1")
    async with Session.open(url) as session:
        queue: Queue[Message] = Queue(session, name, Message)
        with reloading(project, REDIS_URL=url, PIPELINE_QUEUE=name, PYTHONDONTWRITEBYTECODE="") as process:
            said = await asyncio.to_thread(wait_for, process, '"consuming"')
            assert await (await queue.submit(order("x"))) == 1
            handler(project, "2")
            said = await asyncio.to_thread(wait_for, process, '"consuming"')
            assert any("consumer/handlers.py changed: it drains and starts anew" in line for line in said)
            assert any('"drained"' in line for line in said)
            assert await (await queue.submit(order("x"))) == 2
            # What cannot start waits for the next change.
            handler(project, "(")
            await asyncio.to_thread(wait_for, process, "it is started anew when a file changes")
            handler(project, "3")
            await asyncio.to_thread(wait_for, process, '"consuming"')
            assert await (await queue.submit(order("x"))) == 3
            process.send_signal(signal.SIGTERM)
            said = (await asyncio.to_thread(process.communicate, timeout=20))[1].splitlines()
        assert process.returncode == 0, said
        assert any('"drained"' in line for line in said)


async def test_its_service_ends_with_it(project: Path, url: str, name: str) -> None:
    handler(project, "1")
    async with Session.open(url) as session:
        queue: Queue[Message] = Queue(session, name, Message)
        with reloading(project, REDIS_URL=url, PIPELINE_QUEUE=name) as process:
            await (await queue.submit(order("x")))
            process.kill()
            _, said = await asyncio.to_thread(process.communicate, timeout=20)  # until both have closed it
        assert '"drained"' in said


def shell(project: Path, typed: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "cli.shell"],
        env=environment(PYTHONPATH=str(project), **settings), cwd=project, input=typed, capture_output=True, text=True, check=False, timeout=40,
    )  # fmt: skip


def test_the_prompt_has_an_open_pipeline_and_awaits(project: Path, url: str, name: str) -> None:
    typed = (
        "await pipeline.queue.put(Errand(text='a'))\n"
        "(await pipeline.queue.statistics()).pending\n"
        "async with await pipeline.queue.get() as item:\n"
        "    print(item.text * 3)\n"
        "\n"
        "1 / 0\n"
        "after = 'goes on'\n"
        "after\n"
        "raise SystemExit\n"
        "'never'\n"
    )
    done = shell(project, typed, REDIS_URL=url, PIPELINE_QUEUE=name)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.replace(">>> ", "").replace("... ", "").splitlines()
    assert [line for line in shown if line] == ["True", "1", "aaa", "'goes on'"]
    assert "ZeroDivisionError" in done.stderr
    assert "Errand" in done.stderr.splitlines()[0]


def test_a_prompt_without_a_server_is_advice_and_2(project: Path) -> None:
    done = shell(project, "", REDIS_URL="nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("shell: REDIS_URL: the address begins with redis://")


@pytest.mark.parametrize("service", ["producer", "consumer", "clock"])
def test_help_of_a_service_names_what_is_for_development(service: str) -> None:
    done = subprocess.run([ROOT / "run", service, "--help"], capture_output=True, text=True, check=True, timeout=40)
    assert f"usage: ./run {service} " in done.stdout
    assert "--reload" in done.stdout
    assert "PIPELINE_QUEUES=" in done.stdout


def test_the_projects_python_finds_the_project(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "run", "python", "-c", "import shared.messages, sys; print(sys.prefix)"],
        cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True, timeout=40,
    )  # fmt: skip
    assert Path(done.stdout.strip()).name == ".venv"
