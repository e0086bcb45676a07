"""The demo cluster, for real: built, scaled, killed and drained by `docker compose`."""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from typing import Final

import pytest

from tests.instruments.cluster import ROOT, Cluster, why_not

pytestmark = [pytest.mark.compose, pytest.mark.timeout(240)]

RUN: Final = "compose-test"
# What Compose 1.29 knows, of what a service may need; a newer key would end it with an error.
TOP_LEVEL: Final = {"services", "volumes", "networks", "secrets", "configs"}
OF_A_SERVICE: Final = {
    "build", "cap_add", "cap_drop", "command", "cpus", "depends_on", "deploy", "entrypoint", "env_file", "environment",
    "expose", "healthcheck", "image", "init", "logging", "mem_limit", "networks", "pids_limit", "ports", "profiles",
    "read_only", "restart", "secrets", "security_opt", "stop_grace_period", "stop_signal", "tmpfs", "ulimits", "user",
    "volumes", "working_dir", "<<",
}  # fmt: skip

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


def name_here() -> str:
    """A project name that no other test process uses."""
    return f"weir-test-{os.getpid()}"


@pytest.fixture(scope="module")
def built() -> Iterator[str]:
    """The images, built once for this module; everything under their project's name is removed at the end."""
    if reason := why_not():
        pytest.skip(f"the cluster is not tested here: {reason}")
    cluster = Cluster(name_here())
    try:
        cluster.compose("build", "--quiet")
        yield cluster.project
    finally:
        cluster.remove()


def test_the_file_says_only_what_compose_1_29_understands() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    top = {line.split(":")[0] for line in text.splitlines() if re.match(r"[a-z]", line)}
    shared = re.search(r"^x-service:.*?(?=^\S)", text, re.DOTALL | re.MULTILINE)
    services = re.search(r"^services:.*?(?=^\S)", text, re.DOTALL | re.MULTILINE)
    assert shared is not None
    assert services is not None
    keys = set(re.findall(r"^  ([a-z<_]+):", shared[0], re.MULTILINE))
    keys |= set(re.findall(r"^    ([a-z<_]+):", services[0], re.MULTILINE))
    assert {name for name in top if not name.startswith("x-")} <= TOP_LEVEL
    assert keys <= OF_A_SERVICE
    # ${NAME:+value} and !reset came later.
    assert not re.search(r":\+|!reset", text)
    # Such a service could not be scaled.
    assert "container_name" not in text


def test_only_what_runs_goes_into_the_image() -> None:
    named = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set(re.findall(r"^COPY (?!--from)(\S+) ", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert named == copied
    assert named == {*project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], "LICENSE", "requirements.lock"}


def test_all_services_run_one_image(built: str) -> None:
    producer, consumer, clock = Cluster(built).images()
    assert producer["RootFS"] == consumer["RootFS"] == clock["RootFS"]
    assert consumer["Config"]["User"] == "10001:10001"


def assert_hardened(cluster: Cluster) -> None:
    for service in ("redis", "producer", "consumer", "clock"):
        for container in cluster.containers(service):
            host = container["HostConfig"]
            assert host["ReadonlyRootfs"]
            assert host["CapDrop"] == ["ALL"]
            assert host["SecurityOpt"] == ["no-new-privileges:true"]
            assert not host["PortBindings"]
            if service != "redis":
                assert host["Init"]
                assert not host["CapAdd"]
                assert container["Config"]["StopTimeout"] >= 25
    status = cluster.compose("exec", "-T", "consumer", "cat", "/proc/self/status")
    assert re.search(r"Uid:\s+10001\s", status)
    assert re.search(r"CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"NoNewPrivs:\s+1", status)
    assert "Read-only" in cluster.compose("exec", "-T", "consumer", "sh", "-c", "touch /app/x 2>&1 || true")


def stored(cluster: Cluster, run: str = RUN) -> int:
    return int(cluster.server("HLEN", f"{{jobs}}:counts:{run}"))


def version(cluster: Cluster) -> int:
    found: int = json.loads(cluster.server("GET", "{jobs}:stop-words:words"))["version"]
    return found


def ended(cluster: Cluster, service: str) -> list[int]:
    states = [container["State"] for container in cluster.containers(service)]
    return [state["ExitCode"] for state in states if state["Status"] == "exited"]


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
        cluster.up(consumers=2)
        before = stored(cluster)
        cluster.until("at work again", lambda: stored(cluster) > before)
        cluster.kill("redis")
        cluster.up(consumers=2)
        cluster.until("all put in", lambda: ended(cluster, "producer") == [0])
        cluster.until("all handled", lambda: int(cluster.server("EXISTS", "{jobs}:pending")) == 0)
        cluster.until("exact", lambda: bool(cluster.python(COMPARE, RUN)["exact"]))
        assert int(cluster.server("HGET", "{jobs}:totals", "recovered")) > 0
    finally:
        codes = cluster.down()
    assert codes == {"consumer": [0, 0], "clock": [0], "redis": [0]}


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
