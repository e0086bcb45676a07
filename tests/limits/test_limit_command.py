"""`pipeline queue limit` and `limits`, and the blocking face."""

import json
import subprocess
from collections.abc import Callable

import pytest

from shared.concurrency import Rate
from shared.concurrency.blocking import BlockingSession
from tests.cli.test_dead_command import pipeline

Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.usefixtures("command_line")


@pytest.fixture
def queue(url: str, name: str) -> Run:
    """`pipeline queue` at the queue of the test, which is there."""
    with BlockingSession(url) as session:
        session.queue(name, int).qsize()

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        done = pipeline("queue", *arguments, REDIS_URL=url, PIPELINE_QUEUE=name)
        assert "Traceback" not in done.stderr
        return done

    return run


def test_limits_are_set_listed_and_lifted(queue: Run, url: str, name: str) -> None:
    done = queue("limit", "partner-api", "--at-once", "5", "--rate", "100/60", "--burst", "10")
    assert (done.returncode, done.stderr, done.stdout) == (
        0,
        "",
        f"the queue {name} limits partner-api to 5 at once, 100/60s burst 10\n",
    )
    assert queue("limit", "--each-share", "--at-once", "2").returncode == 0
    with BlockingSession(url) as session:
        found = session.queue(name, int).limits()
        assert [(limit.name, limit.at_once, limit.rate) for limit in found] == [
            (None, 2, None),
            ("partner-api", 5, Rate(100, per=60.0, burst=10)),
        ]
        session.queue(name, int).limit_shares()
        session.queue(name, int).limit("other", rate=Rate(1))
    seen = [json.loads(line) for line in queue("limits", "--json").stdout.splitlines()]
    assert [(each["limit"] if "limit" in each else each["name"], each["at_once"]) for each in seen] == [
        ("other", None),
        ("partner-api", 5),
    ]
    assert "1/1s burst 1" in queue("limits").stdout
    assert queue("limit", "other", "--lift").stdout == f"the queue {name} has no limit other any more\n"
    assert len(queue("limits", "--json").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("api",),
        ("--at-once", "1"),
        ("api", "--each-share", "--at-once", "1"),
        ("api", "--at-once", "0"),
        ("api", "--rate", "often"),
        ("api", "--rate", "0/1"),
        ("api", "--rate", "1/0"),
        ("api", "--rate", "1", "--burst", "0"),
        ("api", "--lift", "--at-once", "1"),
        ("", "--at-once", "1"),
    ],
    ids=" ".join,
)
def test_what_is_no_limit_is_refused(queue: Run, words: tuple[str, ...]) -> None:
    done = queue("limit", *words)
    assert done.returncode == 2
    assert "there is no queue" not in done.stderr
    assert not queue("limits", "--json").stdout
