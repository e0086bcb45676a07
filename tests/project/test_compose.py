"""What docker-compose.yml says, and the images that it builds. tests/demo/test_cluster.py has it run."""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.instruments.cluster import ROOT, Cluster, answers, why_not

pytestmark = [pytest.mark.slow, pytest.mark.compose, pytest.mark.timeout(240)]

# What Compose 1.29 knows, of what a service may need; a newer key would end it with an error.
TOP_LEVEL: Final = {"services", "volumes", "networks", "secrets", "configs"}
OF_A_SERVICE: Final = {
    "build", "cap_add", "cap_drop", "command", "cpus", "depends_on", "deploy", "entrypoint", "env_file", "environment",
    "expose", "healthcheck", "image", "init", "logging", "mem_limit", "networks", "pids_limit", "ports", "profiles",
    "read_only", "restart", "secrets", "security_opt", "stop_grace_period", "stop_signal", "tmpfs", "ulimits", "user",
    "volumes", "working_dir", "<<",
}  # fmt: skip


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
    producer, consumer, clock, monitor = Cluster(built).images()
    assert producer["RootFS"] == consumer["RootFS"] == clock["RootFS"] == monitor["RootFS"]
    assert consumer["Config"]["User"] == "10001:10001"


def test_what_is_set_outside_reaches_the_services(built: str) -> None:
    outside = {
        "PIPELINE_MAX_MESSAGE_BYTES": "1000", "PIPELINE_KNOWN_FOR": "60", "PIPELINE_CLOCK_URL": "redis://redis:6379/1",
        "PIPELINE_GRACE": "7", "STOP_GRACE_PERIOD": "9s",
    }  # fmt: skip
    cluster = Cluster(built, **outside)
    try:
        cluster.compose("up", "--detach", "--no-build", "consumer")
        here = variables(cluster)
        assert {name: here.get(name) for name in outside if name.startswith("PIPELINE_")}.items() <= outside.items()
        assert cluster.containers("consumer")[0]["Config"]["StopTimeout"] == 9
        # What nobody sets has the default of the services: it is not there, for an empty one would be an error.
        cluster = Cluster(built)
        cluster.compose("up", "--detach", "--no-build", "consumer")
        assert (
            not {"PIPELINE_CLOCK_URL", "PIPELINE_KNOWN_FOR", "PIPELINE_MAX_MESSAGE_BYTES"} & variables(cluster).keys()
        )
        assert variables(cluster)["PIPELINE_GRACE"] == "20"
    finally:
        cluster.down()


def test_the_profile_adds_prometheus_and_grafana_and_publishes_them_here_alone() -> None:
    if not answers("compose", "version"):
        pytest.skip("there is no `docker compose` here")
    cluster = Cluster(name_here())
    usual, watched = (
        json.loads(cluster.compose(*profile, "config", "--format", "json"))["services"]
        for profile in ((), ("--profile", "observability"))
    )
    assert watched.keys() - usual.keys() == {"prometheus", "grafana"}
    for service in ("prometheus", "grafana"):
        assert {port["host_ip"] for port in watched[service]["ports"]} == {"127.0.0.1"}
        assert watched[service]["cap_drop"] == ["ALL"]
        for volume in watched[service]["volumes"]:
            assert volume["type"] == "volume" or Path(volume["source"]).exists()
            assert volume["type"] == "volume" or volume["read_only"]


def test_memory_and_logs_have_bounds_that_can_be_set() -> None:
    if not answers("compose", "version"):
        pytest.skip("there is no `docker compose` here")
    outside = {"REDIS_MAXMEMORY": "2gb", "LOG_MAX_SIZE": "1m", "LOG_MAX_FILES": "7"}
    for settings, (memory, *files) in (({}, ("512mb", "10m", "3")), (outside, ("2gb", "1m", "7"))):
        told = Cluster(name_here(), **settings).compose("--profile", "observability", "config", "--format", "json")
        services = json.loads(told)["services"]
        command = services["redis"]["command"]
        assert command[command.index("--maxmemory") + 1] == memory
        # What is refused then is waited for; with another policy the server would forget messages.
        assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
        assert len(services) == 7
        for service in services.values():
            assert [service["logging"]["options"][word] for word in ("max-size", "max-file")] == files


def test_a_consumer_whose_loop_hangs_turns_unhealthy(built: str) -> None:
    cluster = Cluster(built)

    def health(service: str) -> str:
        states = [container["State"] for container in cluster.containers(service)]
        return states[0]["Health"]["Status"] if states else "absent"

    def send(signal: str) -> None:
        cluster.compose("exec", "-T", "consumer", "sh", "-c", f"kill -{signal} $(cat /proc/1/task/1/children)")

    try:
        cluster.up()
        for service in ("producer", "consumer", "clock", "monitor"):
            cluster.until(f"{service} healthy", lambda service=service: health(service) == "healthy")  # type: ignore[misc]
        send("STOP")
        cluster.until("the consumer unhealthy", lambda: health("consumer") == "unhealthy")
        assert "its event loop has not turned for 3 s" in str(
            cluster.containers("consumer")[0]["State"]["Health"]["Log"]
        )
        send("CONT")
        cluster.until("the consumer healthy", lambda: health("consumer") == "healthy")
    finally:
        cluster.down()


def variables(cluster: Cluster) -> dict[str, str]:
    """The environment of a consumer, as it is inside."""
    told = cluster.compose("exec", "-T", "consumer", "env")
    return dict(line.split("=", 1) for line in told.splitlines())


def assert_hardened(cluster: Cluster) -> None:
    for service in ("redis", "producer", "consumer", "clock", "monitor"):
        for container in cluster.containers(service):
            host = container["HostConfig"]
            assert host["ReadonlyRootfs"]
            assert host["CapDrop"] == ["ALL"]
            assert host["SecurityOpt"] == ["no-new-privileges:true"]
            ports = {binding["HostIp"] for bindings in (host["PortBindings"] or {}).values() for binding in bindings}
            assert ports == ({"127.0.0.1"} if service == "monitor" else set())
            if service != "redis":
                assert host["Init"]
                assert not host["CapAdd"]
                assert container["Config"]["StopTimeout"] >= 25
    status = cluster.compose("exec", "-T", "consumer", "cat", "/proc/self/status")
    assert re.search(r"Uid:\s+10001\s", status)
    assert re.search(r"CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"NoNewPrivs:\s+1", status)
    assert "Read-only" in cluster.compose("exec", "-T", "consumer", "sh", "-c", "touch /app/x 2>&1 || true")


def ended(cluster: Cluster, service: str) -> list[int]:
    states = [container["State"] for container in cluster.containers(service)]
    return [state["ExitCode"] for state in states if state["Status"] == "exited"]
