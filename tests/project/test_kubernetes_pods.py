"""The containers of deploy/kubernetes as a kubelet would run them: without an init, with what their manifest allows."""

import os
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.instruments.cluster import Cluster, why_not
from tests.instruments.manifests import FOLDER, Manifest, built, kustomize, read
from tests.shared.test_service_links import links

pytestmark = [pytest.mark.slow, pytest.mark.compose, pytest.mark.timeout(400)]

ASK: Final = (
    "import sys, urllib.request, urllib.error\n"
    "try: sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())\n"
    "except urllib.error.URLError as error: sys.exit(str(error))"
)


@pytest.fixture(scope="module")
def pods() -> Iterator["Pods"]:
    """The image, a server called `redis`, and the manifests of the base, put together."""
    command = kustomize()
    reason = why_not() if command else "neither kustomize nor kubectl is installed"
    if reason or command is None:
        pytest.skip(f"no pod is run here: {reason}")
    cluster = Cluster(f"weir-pods-{os.getpid()}")
    running = Pods(cluster, built(command, FOLDER / "base"))
    try:
        cluster.compose("build", "--quiet", "consumer")
        cluster.compose("up", "--detach", "--no-build", "redis")
        yield running
    finally:
        running.remove()
        cluster.remove()


class Pods:
    """Runs the one container of a workload as its manifest says; on the network of the cluster, where `redis` is."""

    def __init__(self, cluster: Cluster, resources: list[Manifest]) -> None:
        self._cluster = cluster
        self.resources = resources
        self._started: list[str] = []

    def one(self, kind: str, name: str) -> Any:
        """A resource; of a ConfigMap the name is the beginning of that which kustomize made."""
        return next(
            each
            for each in self.resources
            if each["kind"] == kind and re.fullmatch(f"{name}(-[a-z0-9]{{10}})?", each["metadata"]["name"])
        )

    def start(self, workload: Manifest) -> str:
        """Start it, beside Services whose names are like our settings; the name of the container."""
        pod = workload["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        variables = links("pipeline") | links("pipeline-metrics")
        variables |= self.one("ConfigMap", "settings")["data"] | self.one("Secret", "server")["stringData"]
        variables |= {each["name"]: each["value"] for each in container.get("env", [])}
        name = f"{self._cluster.project}-{workload['metadata']['name']}"
        user, may = pod["securityContext"], container["securityContext"]
        self._started.append(name)
        self._cluster._docker([
            "run", "--detach", "--name", name, "--network", f"{self._cluster.project}_default",
            "--user", f"{user['runAsUser']}:{user['runAsGroup']}", "--tmpfs", f"{container['volumeMounts'][0]['mountPath']}",
            *(["--read-only"] if may["readOnlyRootFilesystem"] else []),
            *(["--security-opt", "no-new-privileges"] if not may["allowPrivilegeEscalation"] else []),
            *(f"--cap-drop={each}" for each in may["capabilities"]["drop"]),
            "--memory", container["resources"]["limits"]["memory"].removesuffix("i").lower(),
            *(f"--env={variable}={value}" for variable, value in variables.items()),
            f"{self._cluster.project}-consumer", *container["command"],
        ])  # fmt: skip
        return name

    def ask(self, name: str, port: int, path: str) -> str:
        """What it answers to a GET; nothing where that is no 200."""
        try:
            return self._cluster._docker(["exec", name, "python", "-c", ASK, f"http://127.0.0.1:{port}{path}"])
        except AssertionError:
            return ""

    def stop(self, name: str, seconds: int) -> int:
        """End it as a kubelet does, unless it has ended by itself; its exit code."""
        self._cluster._docker(["stop", "--time", str(seconds), name])
        return int(self._cluster._docker(["inspect", "--format", "{{.State.ExitCode}}", name]))

    def until(self, what: str, name: str, port: int, path: str, says: str) -> None:
        self._cluster.until(what, lambda: says in self.ask(name, port, path), seconds=90)

    def remove(self) -> None:
        for name in self._started:
            self._cluster._docker(["rm", "--force", "--volumes", name])


def test_they_start_answer_the_probes_and_end_within_their_grace(pods: Pods) -> None:
    producer = next(each for each in pods.resources if each["metadata"]["name"] == "producer")
    workloads = [*(pods.one("Deployment", name) for name in ("consumer", "clock", "monitor")), producer]
    started = [(pods.start(workload), workload) for workload in workloads]
    for name, workload in started:
        if workload["kind"] != "Job":  # which ends by itself, and may have done so
            (container,) = workload["spec"]["template"]["spec"]["containers"]
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                path, port = container[probe]["httpGet"]["path"], container["ports"][0]["containerPort"]
                pods.until(f"{name}: {probe}", name, port, path, "ok\n")
    # What KEDA asks for, and finds by these words.
    scaled = read(FOLDER / "scaling" / "demand" / "scaled-object.yaml")
    asked = scaled["spec"]["triggers"][0]["metadata"]["valueLocation"]
    monitor = next(name for name, _ in started if name.endswith("-monitor"))
    pods.until("the demand", monitor, 8080, "/metrics", f"\n{asked} ")
    for name, workload in reversed(started):
        assert pods.stop(name, workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]) == 0, name
