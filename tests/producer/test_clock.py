"""The clock: what is due is done once, whoever else runs; no pickle at all; arq's own command runs it too."""

import asyncio
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from shared.clock.jobs import decode, encode
from shared.local.embedded import EmbeddedServer
from shared.local.parent_death import tied
from shared.pipeline import open_pipeline
from shared.settings import Settings
from tests.instruments.application import application
from tests.instruments.command_line import environment
from tests.instruments.messages import Errand
from tests.instruments.services import Service, running, wait_for

pytestmark = pytest.mark.timeout(180)


class Sent:
    """What the server was sent since this was made; each command is one line, those of scripts included."""

    def __init__(self, client: "redis.Redis", monitor: Any) -> None:
        self._client = client
        self._heard = monitor.listen()
        self._lines: list[str] = []

    def until(self, satisfied: Callable[[str], bool]) -> str:
        """Hear on until a line satisfies."""
        while True:
            line: str = next(self._heard)["command"]
            self._lines.append(line)
            if satisfied(line):
                return line

    def all(self) -> list[str]:
        """What was heard, up to now."""
        self._client.echo("now")
        self.until("ECHO now".__eq__)
        return self._lines


@pytest.fixture
def sent(url: str) -> Iterator[Sent]:
    with redis.Redis.from_url(url) as client, client.monitor() as monitor:
        yield Sent(client, monitor)


def stopped(clock: Service) -> str:
    """Stop a clock; what it said since."""
    clock.send_signal(signal.SIGTERM)
    _, said = clock.communicate(timeout=90)
    assert clock.returncode == 0, said
    assert "the clock is stopped" in said
    assert "Traceback" not in said
    return said


def due(lines: list[str], name: str) -> list[str]:
    """The ids of the jobs that were put."""
    return [line.split()[1] for line in lines if line.startswith(f"PSETEX arq:job:cron:{name}")]


def ended(lines: list[str], name: str) -> set[str]:
    """The ids of the jobs that arq was told are at their end."""
    return {line.split()[-1] for line in lines if line.startswith(f"ZREM {{{name}}}:clock ")}


def done(lines: list[str], name: str) -> int:
    """How often a job did its work."""
    return sum(line == f"INCR {{{name}}}:ticks" or line.startswith(f"INCRBY {{{name}}}:ticks ") for line in lines)


def test_it_runs_jobs_and_stores_nothing_but_json(url: str, name: str, sent: Sent) -> None:
    with running("producer.clock", REDIS_URL=url, PIPELINE_QUEUE=name) as clock:
        wait_for(clock, "ticked")
        wait_for(clock, "ticked")
        stopped(clock)
    lines = sent.all()
    jobs = [line.split(" ", 3)[3] for line in lines if line.startswith(f"PSETEX arq:job:cron:{name}")]
    results = [line.split(" ")[2:-2] for line in lines if line.startswith(f"SET arq:result:cron:{name}")]
    assert len(jobs) >= 2
    assert len(results) >= 2
    for text in [*jobs, *(" ".join(words) for words in results)]:
        assert json.loads(text)["f"] == f"cron:{name}:tick"


@pytest.mark.slow
def test_a_job_that_ends_well_is_no_line_of_arq_unless_one_asks(url: str, name: str) -> None:
    with running("producer.clock", REDIS_URL=url, PIPELINE_QUEUE=name) as clock:
        lines = wait_for(clock, "ticked") + wait_for(clock, "ticked")
    assert not [line for line in lines if f"cron:{name}:tick" in line and "arq.worker" in line]
    with running("producer.clock", REDIS_URL=url, PIPELINE_QUEUE=name, PIPELINE_LOG_LEVEL="debug") as clock:
        lines = wait_for(clock, "a job has ended")
    said = json.loads(lines[-1])
    assert (said["level"], said["logger"]) == ("debug", "arq.worker")
    assert said["job"].endswith(f":cron:{name}:tick") or said["job"].startswith(f"cron:{name}:tick")
    assert 0 <= said["seconds"] < 20


def test_a_clock_that_comes_late_does_not_do_it_again(url: str, name: str, sent: Sent) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name}
    with running("producer.clock", **settings) as one, running("producer.clock", **settings) as late:
        asked: set[str] = set()
        # Until both have asked for the same job.
        while (question := sent.until(lambda line: line.startswith(f"WATCH arq:job:cron:{name}"))) not in asked:
            asked.add(question)
        late.send_signal(signal.SIGSTOP)
        job = question.removeprefix("WATCH arq:job:")
        while job in question:  # one for which it has not asked
            job = sent.until(lambda line: line.startswith(f"ZREM {{{name}}}:clock ")).split()[-1]
        late.send_signal(signal.SIGCONT)
        # It makes up for what came due while it stood still.
        sent.until(lambda line: line == f"WATCH arq:job:{job}")
        stopped(one)
        stopped(late)
    lines = sent.all()
    assert len(due(lines, name)) == len(set(due(lines, name)))
    # The last of them may be due after both had stopped.
    assert len(ended(lines, name)) == done(lines, name) >= 2


@pytest.mark.slow
def test_it_waits_out_a_server_that_ends(tmp_path: Path, name: str) -> None:
    with EmbeddedServer(tmp_path / "server") as server:
        with running("producer.clock", REDIS_URL=server.url, PIPELINE_QUEUE=name) as clock:
            wait_for(clock, "ticked")
            server.kill()
            lines = wait_for(clock, "begins again")
            server.restart()
            # Behind the end of arq's worker, which closes its connections to a server that is gone.
            lines += wait_for(clock, "the clock goes on")
            assert "after_seconds" in json.loads(lines[-1])
            lines += wait_for(clock, "ticked")
            clock.send_signal(signal.SIGTERM)
            _, said = clock.communicate(timeout=90)
        assert clock.returncode == 0, said
        assert "DeprecationWarning" not in "".join(lines) + said


async def schedule(url: str, name: str) -> None:
    async with open_pipeline(Settings(redis_url=SecretStr(url), queue=name)) as pipeline:
        await pipeline.schedule(Errand(text="t"), after=0, id="a")


@pytest.mark.slow
def test_arqs_own_command_runs_it(url: str, name: str) -> None:
    asyncio.run(schedule(url, name))
    arq = shutil.which("arq", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert arq is not None
    with subprocess.Popen(
        [arq, "producer.schedule.WorkerSettings"],
        env=environment(REDIS_URL=url, PIPELINE_QUEUE=name, PYTHONPATH=str(application())), cwd=application(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, preexec_fn=tied(),  # noqa: PLW1509
    ) as process:  # fmt: skip
        try:
            wait_for(process, f"message:{name}:a:put_message ●")
            wait_for(process, f"cron:{name}:tick ●")
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=90)
        finally:
            process.kill()
    assert process.returncode == 0
    with redis.Redis.from_url(url) as client:
        assert client.llen(f"{{{name}}}:pending") == 1


def test_a_pickle_is_refused_and_never_loaded(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "loaded"),)

    assert decode(encode({"f": "job", "a": [1]})) == {"f": "job", "a": [1]}
    for stored in (pickle.dumps({"f": Touch()}), b"[" * 100_000):
        with pytest.raises(ValueError, match="pickle"):
            decode(stored)
    assert not (tmp_path / "loaded").exists()
