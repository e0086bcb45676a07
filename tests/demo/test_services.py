"""The word count as services: what they count, and what they say when there is nothing to count."""

import time
from pathlib import Path

import pytest
import redis

from tests.instruments.command_line import ROOT
from tests.instruments.services import running, wait_for
from tests.project.test_services import ended

pytestmark = pytest.mark.usefixtures("command_line")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number in range(20):
        (tmp_path / f"{number}.py").write_text("some words\n" * 1000)
    return tmp_path


def test_the_words_are_counted_and_the_stop_words_rewritten(url: str, name: str, tree: Path) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_RUN": "r", "PIPELINE_SOURCE_PATH": str(tree)}
    with (
        running("consumer", ROOT, **settings) as consumer,
        running("producer.clock", ROOT, **settings, PIPELINE_LOG_LEVEL="debug") as clock,
    ):
        assert ended("producer", **settings).returncode == 0
        with redis.Redis.from_url(url) as client:
            deadline = time.monotonic() + 90
            while client.hget(f"{{{name}}}:counts:r", "words") != b"20000":
                assert time.monotonic() < deadline
        wait_for(clock, "the stop words are rewritten")
        for service in (consumer, clock):
            service.terminate()
            _, said = service.communicate(timeout=90)
            assert service.returncode == 0, said


@pytest.mark.slow
def test_walks_without_an_end_are_runs_of_their_own_and_old_counts_go(url: str, name: str, tmp_path: Path) -> None:
    # More of them in a walk than are on their way at once.
    (tmp_path / "one.py").write_text("some words\n" * 200 * 300)
    settings = {
        "REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_RUN": "r", "PIPELINE_SOURCE_PATH": str(tmp_path),
        "PIPELINE_PASSES": "0",
    }  # fmt: skip
    with running("consumer", ROOT, **settings), running("producer", ROOT, **settings) as producer:
        for _ in range(6):
            wait_for(producer, "one pass is done")
        producer.terminate()
        producer.wait(90)
    with redis.Redis.from_url(url) as client:
        runs = {int(key.rpartition(b"-")[2]) for key in client.scan_iter(f"{{{name}}}:counts:r-*", count=1000)}
    assert max(runs) >= 6
    assert min(runs) >= max(runs) - 3


def test_a_producer_without_files_says_so(url: str, tmp_path: Path) -> None:
    for path, advice in ((tmp_path, "no file below"), (tmp_path / "gone", "is no directory")):
        done = ended("producer", REDIS_URL=url, PIPELINE_SOURCE_PATH=str(path))
        assert done.returncode == 2
        assert advice in done.stderr
        assert "Traceback" not in done.stderr
