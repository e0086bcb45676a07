"""docs/from-arq.md: the job before and the job after both run, as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.clock.arq_settings import redis_settings
from shared.local.embedded import EmbeddedServer
from shared.local.parent_death import tied
from tests.instruments.command_line import ROOT, environment
from tests.instruments.lines import blocks

PAGE = (ROOT / "docs" / "from-arq.md").read_text(encoding="utf-8")
THEIRS, MESSAGE_CLASS, HANDLER, PUT, CRON, LINE = blocks(PAGE)


def heard(process: "subprocess.Popen[str]", *lines: str) -> None:
    """Read what a worker prints until each of these was there."""
    assert process.stdout is not None
    missing = set(lines)
    for line in process.stdout:
        missing.discard(line.rstrip("\n"))
        if not missing:
            return
    raise AssertionError(f"it ended without {missing}")


def command(root: Path, *words: str, **settings: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=environment(PYTHONUNBUFFERED="1", **settings) | {"PYTHONPATH": str(root)}, preexec_fn=tied(),  # noqa: PLW1509
    )  # fmt: skip


def ended(*processes: "subprocess.Popen[str]") -> None:
    for process in processes:
        process.terminate()
        process.communicate(timeout=90)


def add_cron_job(schedule: Path, function: str, line: str) -> None:
    """Edit a schedule as the page says."""
    text = schedule.read_text()
    text = text.replace("class WorkerSettings(", f"{function}\n\nclass WorkerSettings(")
    before, begin, after = text.partition("cron_jobs: ClassVar[list[CronJob]] = [\n")
    assert begin
    schedule.write_text(f"{before}{begin}{line.rstrip()},\n{after}")


@pytest.mark.slow
def test_the_job_before(tmp_path: Path, server: EmbeddedServer) -> None:
    socket = redis_settings(server.url).unix_socket_path
    code = THEIRS.replace("RedisSettings()", f"RedisSettings(unix_socket_path={socket!r})")
    assert code != THEIRS
    (tmp_path / "reports.py").write_text(code)
    subprocess.run([sys.executable, "reports.py"], cwd=tmp_path, check=True, timeout=120)
    worker = command(tmp_path, "arq", "reports.WorkerSettings")
    try:
        heard(worker, "a report for Ann", "a report for Bob", "a report for everybody")
    finally:
        ended(worker)


@pytest.mark.slow
def test_the_job_after(copy: Path, url: str, name: str) -> None:
    for step, file in ((MESSAGE_CLASS, "shared/messages.py"), (HANDLER, "consumer/handlers.py")):
        with (copy / file).open("a", encoding="utf-8") as source:
            source.write(f"\n\n{step}")
    add_cron_job(copy / "producer" / "schedule.py", CRON, LINE)
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name}
    kept = {variable: value for variable, value in os.environ.items() if not variable.startswith("PIPELINE_")}
    subprocess.run(
        [sys.executable, "-W", "error", "-c", PUT],
        cwd=copy, env=kept | settings | {"PYTHONPATH": str(copy)}, check=True, timeout=120,
    )  # fmt: skip
    consumer, clock = command(copy, "consumer", **settings), command(copy, "producer.clock", **settings)
    try:
        heard(consumer, "a report for Ann", "a report for Bob", "a report for everybody")
    finally:
        ended(consumer, clock)
    assert (consumer.returncode, clock.returncode) == (0, 0)


def test_every_row_names_what_is_there() -> None:
    sources = "".join(
        path.read_text() for room in ("producer", "consumer", "shared") for path in (ROOT / room).rglob("*.py")
    )
    for call in re.findall(r"`(?:await )?(?:pipeline|delivery|queue)\.(?:queue\.)?(\w+)", PAGE):
        assert re.search(rf"\bdef {call}\b|\b{call}: ", sources), call
