"""The demo cluster, for real: scaled, killed and drained by `docker compose`, and the words counted exactly."""

import json
import threading
from typing import Final

import pytest

from tests.instruments.cluster import Cluster
from tests.instruments.lines import compose_lines
from tests.project.test_compose import assert_hardened, built, ended

__all__ = ["built"]

pytestmark = [pytest.mark.compose, pytest.mark.slow, pytest.mark.timeout(240)]

RUN: Final = "compose-test"

# Counts the same files the plain way, inside the container, and compares with what the consumers stored.
COMPARE: Final = r"""
import collections, json, os, pathlib, re, sys, sysconfig
import redis

server = redis.Redis.from_url(os.environ["REDIS_URL"])
stored = collections.Counter()
for word, count in server.hgetall("{jobs}:counts:" + sys.argv[1]).items():
    stored[word.decode()] = int(count)
plain = collections.Counter()
root = pathlib.Path(sysconfig.get_path("stdlib"))
for path in root.glob("**/*.py"):
    if path.is_file() and not {"site-packages", "dist-packages"} & set(path.relative_to(root).parts):
        text = path.read_text("utf-8", "replace")
        plain.update(word.lower() for word in re.findall(r"[^\W\d_]+", text))
print(json.dumps({"words": stored.total(), "exact": stored == plain}))
"""


def stored(cluster: Cluster, run: str = RUN) -> int:
    return int(cluster.server("HLEN", f"{{jobs}}:counts:{run}"))


def version(cluster: Cluster) -> int:
    found: int = json.loads(cluster.server("GET", "{jobs}:stop-words:words"))["version"]
    return found


def test_killed_consumers_and_a_killed_server_lose_nothing(built: str) -> None:
    # As fast as they can, so that a consumer that is killed holds something.
    cluster = Cluster(
        built, PIPELINE_RUN=RUN, PIPELINE_PASSES="1", PIPELINE_RATE="0", PIPELINE_SESSION_TTL="2", CONSUMER_CPUS="0.2"
    )
    try:
        cluster.up(consumers=2)
        assert_hardened(cluster)
        cluster.until("at work", lambda: stored(cluster) >= 1000)
        cluster.kill("consumer")
        before = stored(cluster)
        cluster.up(consumers=2)
        cluster.until("at work again", lambda: stored(cluster) > before)
        cluster.kill("redis")
        cluster.up(consumers=2)
        cluster.until("all put in", lambda: ended(cluster, "producer") == [0])
        cluster.until("all handled", lambda: int(cluster.server("EXISTS", "{jobs}:pending")) == 0)
        cluster.until("exact", lambda: bool(cluster.python(COMPARE, RUN)["exact"]))
        assert int(cluster.server("HGET", "{jobs}:totals", "recovered")) > 0
    finally:
        codes = cluster.down()
    assert codes == {"consumer": [0, 0], "clock": [0], "redis": [0], "monitor": [0]}


def test_more_consumers_join_and_all_drain_on_valkey(built: str) -> None:
    cluster = Cluster(built, REDIS_IMAGE="valkey/valkey:8", PIPELINE_RUN=RUN)
    try:
        cluster.up()
        # Again and again by default, each walk as a run of its own.
        cluster.until("at work", lambda: stored(cluster, f"{RUN}-1") >= 1000)
        cluster.up(consumers=3)
        # The producer has one, too; the clock uses no queue.
        cluster.until("three at work", lambda: int(cluster.server("ZCARD", "{jobs}:sessions")) == 4)
        first = version(cluster)
        cluster.until("the clock at work", lambda: version(cluster) > first)
        services = ("producer", "consumer", "clock")
        cluster.compose("stop", *services)
        logs = {service: cluster.compose("logs", "--no-color", service) for service in services}
        assert ended(cluster, "producer") == [0]
        assert ended(cluster, "consumer") == [0, 0, 0]
        assert ended(cluster, "clock") == [0]
        # Sessions that end in peace leave nothing to recover.
        assert int(cluster.server("ZCARD", "{jobs}:sessions")) == 0
    finally:
        cluster.down()
    assert logs["producer"].count("the producer is stopped") == 1
    assert logs["consumer"].count("drained") == 3
    assert logs["clock"].count("the clock is stopped") == 1


@pytest.mark.timeout(600)
def test_the_lines_of_the_readme_do_what_it_says_of_them(built: str) -> None:
    up, scale, kill, again, down, follow, show, dead, crash, server = compose_lines()
    cluster = Cluster(built)

    def running() -> list[int]:
        """Of each consumer that runs, how often the engine has started it again."""
        containers = cluster.containers("consumer")
        return [each["RestartCount"] for each in containers if each["State"]["Status"] == "running"]

    def consumers() -> int:
        return cluster.typed(show)[1].count(" consumer ")

    with cluster.typing(up) as first:
        # Its output is nobody's here, and must not fill the pipe.
        reader = threading.Thread(target=first.communicate, name="reads-up")
        reader.start()
        try:
            cluster.until("at work", lambda: running() == [0], seconds=120)
            assert cluster.typed(scale)[0] == 0
            cluster.until("five at work", lambda: consumers() == 5, seconds=120)
            assert cluster.typed(dead) == (0, "")
            assert "redis_version:" in cluster.typed(server)[1]
            with cluster.typing(follow) as logs:
                assert logs.stdout is not None
                assert any('"consuming"' in line for line in logs.stdout)
            cluster.typed(crash)
            cluster.until("back after a crash", lambda: sorted(running()) == [0, 0, 0, 0, 1], seconds=60)
            assert cluster.typed(kill)[0] == 0
            assert ended(cluster, "consumer") == [137] * 5
            assert again == scale
            assert cluster.typed(again)[0] == 0
            cluster.until("five again", lambda: consumers() == 5, seconds=120)
        finally:
            code, said = cluster.typed(down)
            reader.join(60)
    assert code == 0, said
    assert cluster.containers("consumer") == []
