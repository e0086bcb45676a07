"""Handlers that fork, as `multiprocessing` does: their children can be ended, and end with the service."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import redis

from tests.instruments.services import running
from tests.project.test_services import run_to_the_end

pytestmark = [pytest.mark.usefixtures("command_line"), pytest.mark.timeout(180)]

HANDLERS = {
    "loop": "@handles(Errand)\nasync def crunch(delivery, pipeline):",
    "thread": "@handles(Errand)\ndef crunch(delivery, pipeline):",
    "process": '@handles(Errand, executor="process")\ndef crunch(delivery):',
}
HEAD = '''"""YOURS: a handler that forks."""

import json
import multiprocessing
import os
import sys
import time

from consumer.registry import handles
from shared.messages import Errand
from shared.settings import Settings

fork = multiprocessing.get_context("fork")
filled = f"{{{Settings.load().queue}}}:filled"


'''
CRUNCH = """
    with fork.Pool(2) as pool:
        found = pool.map(abs, [-1, -2])
    child = fork.Process(target=time.sleep, args=(60,))
    child.start()
    child.terminate()
    child.join(20)
    delivery.effects.rpush(filled, json.dumps([found, child.exitcode]))
"""
OUTLIVES = """
    with fork.Pool(1) as pool:
        pool.apply(hold)


def hold():
    sys.stderr.write(f"working {os.getpid()} end\\n")
    sys.stderr.flush()
    time.sleep(60)
"""


def settings_of(copy: Path, url: str, name: str, where: str, body: str) -> dict[str, str]:
    (copy / "consumer" / "handlers.py").write_text(HEAD + HANDLERS[where] + body)
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_ORDERS": "1", "PIPELINE_GRACE": "5"}
    assert run_to_the_end("producer", **settings) == 0
    return settings


@pytest.mark.slow
@pytest.mark.parametrize("where", HANDLERS)
def test_children_of_handlers_end_when_they_are_told_and_the_service_goes_on(
    copy: Path, url: str, name: str, where: str
) -> None:
    settings = settings_of(copy, url, name, where, CRUNCH)
    with redis.Redis.from_url(url) as client, running("consumer", copy, **settings) as consumer:
        answer = client.blpop([f"{{{name}}}:filled"], timeout=30)
        assert answer is not None
        assert json.loads(answer[1]) == [[1, 2], -signal.SIGTERM]
        assert consumer.poll() is None
        consumer.terminate()
        _, said = consumer.communicate(timeout=90)
        assert (consumer.returncode, "stopping" in said) == (0, True)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does it")
@pytest.mark.parametrize("where", HANDLERS)
def test_workers_of_a_pool_do_not_outlive_a_killed_service(copy: Path, url: str, name: str, where: str) -> None:
    settings = settings_of(copy, url, name, where, OUTLIVES)
    with running("consumer", copy, **settings) as consumer:
        line = next(line for line in consumer.stderr if line.startswith("working"))
        worker = int(line.split()[1])
        assert is_running(worker)
        os.kill(consumer.pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while is_running(worker):
            assert time.monotonic() < deadline
