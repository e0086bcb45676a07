"""deploy/kubernetes: each manifest is one that Kubernetes takes, and says what the services and the settings need."""

import copy
import os
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from shared.concurrency import Queue, Session
from shared.concurrency.queues.membership.keys import queue_keys
from shared.settings import Settings
from tests.instruments.command_line import ROOT
from tests.instruments.manifests import FOLDER, Manifest, built, kustomize, problem, read, written
from tests.project.test_deploy import OF_QUEUES

OVERLAYS: Final = ("redis", "sentinel", "cluster")
FURTHER: Final = 10
"""Seconds that a pod has beyond PIPELINE_GRACE, as consumer.yaml says."""

WORKLOADS: Final = [resource for _, resource in written() if resource["kind"] in {"Deployment", "Job"}]
"""The producer is there twice: the kustomization takes one of the two."""
BASE: Final = read(FOLDER / "base" / "kustomization.yaml")
SETTINGS: Final = dict(line.split("=", 1) for line in BASE["configMapGenerator"][0]["literals"])


@pytest.fixture
def command() -> list[str]:
    """What builds kustomizations; a test is skipped where it is not installed."""
    found = kustomize()
    if found is None:
        pytest.skip("neither kustomize nor kubectl is installed")
    return found


def name_of(workload: Manifest) -> str:
    return f"{workload['kind']} {workload['metadata']['name']}"


def container_of(workload: Manifest) -> Any:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return container


def one(resources: list[Manifest], kind: str) -> Any:
    (found,) = (resource for resource in resources if resource["kind"] == kind)
    return found


@pytest.mark.parametrize("path", sorted({path for path, _ in written()}))
def test_a_manifest_is_as_kubernetes_defines_it(path: str) -> None:
    for resource in (resource for file, resource in written() if file == path):
        assert problem(resource) == ""


@pytest.mark.parametrize("kind", ["Deployment", "PodDisruptionBudget", "NetworkPolicy", "ScaledObject", "PodMonitor"])
def test_a_field_that_there_is_not_is_found(kind: str) -> None:
    resource = copy.deepcopy(next(resource for _, resource in written() if resource["kind"] == kind))
    resource["spec"]["terminationGraceSeconds"] = 30
    assert "terminationGraceSeconds" in problem(resource)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_put_together(command: list[str], overlay: str) -> None:
    resources = built(command, FOLDER / "overlays" / overlay)
    assert [problem(resource) for resource in resources if problem(resource)] == []
    consumer = next(each for each in resources if name_of(each) == "Deployment consumer")
    # KEDA sets it; what is applied again must not set it back.
    assert "replicas" not in consumer["spec"]
    scaled = one(resources, "ScaledObject")
    demand, pending = scaled["spec"]["triggers"]
    assert pending["type"] == {"redis": "redis", "sentinel": "redis-sentinel", "cluster": "redis-cluster"}[overlay]
    assert scaled["spec"]["scaleTargetRef"]["name"] == consumer["metadata"]["name"]
    # A full pair of hands for each consumer, by both.
    assert demand["metadata"]["targetValue"] == pending["metadata"]["listLength"] == SETTINGS["PIPELINE_CONCURRENCY"]
    assert pending["metadata"]["listName"] == queue_keys(SETTINGS["PIPELINE_QUEUE"])["pending"].decode()
    metric = re.fullmatch(r'(\w+)\{queue="(.*)"\}', demand["metadata"]["valueLocation"])
    assert metric is not None
    assert (metric[1] in OF_QUEUES, metric[2]) == (True, SETTINGS["PIPELINE_QUEUE"])
    service = one(resources, "Service")
    (port,) = service["spec"]["ports"]
    where = f"http://{service['metadata']['name']}.{service['metadata']['namespace']}:{port['port']}/metrics"
    assert demand["metadata"]["url"] == where
    namespaces = {each["metadata"].get("namespace") for each in resources if each["kind"] != "Namespace"}
    assert namespaces == {one(resources, "Namespace")["metadata"]["name"]}
    # Who asks KEDA's secret for a password finds one.
    (asked,) = one(resources, "TriggerAuthentication")["spec"]["secretTargetRef"]
    secrets = {each["metadata"]["name"]: each["stringData"] for each in resources if each["kind"] == "Secret"}
    assert asked["key"] in secrets[asked["name"]]


async def test_what_keda_counts_at_the_server_is_what_is_pending(session: Session, name: str, client: Any) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(3))
    key = queue_keys(name)["pending"]
    assert (await client.type(key), await client.llen(key)) == (b"list", (await queue.statistics()).pending)


@pytest.mark.parametrize("instead", ["producer-job.yaml", "producer.yaml"])
def test_the_producer_is_a_job_or_goes_on(command: list[str], tmp_path: Path, instead: str) -> None:
    folder = shutil.copytree(FOLDER / "base", tmp_path / "base")
    kustomization = folder / "kustomization.yaml"
    text = kustomization.read_text(encoding="utf-8")
    kustomization.write_text(re.sub(r"^  - producer(-job)?\.yaml$", f"  - {instead}", text, flags=re.MULTILINE))
    kinds = [each["kind"] for each in built(command, folder) if each["metadata"]["name"] == "producer"]
    assert kinds == ["Job" if instead == "producer-job.yaml" else "Deployment"]


def test_each_service_of_compose_has_its_pods() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    commands = set(re.findall(r"^    command: \[python, -m, ([\w.]+)\]$", compose, re.MULTILINE))
    assert {container_of(each)["command"][2] for each in WORKLOADS} == commands
    assert len(commands) == 4


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_what_it_sets_are_settings(monkeypatch: pytest.MonkeyPatch, workload: Manifest) -> None:
    for variable in os.environ:
        if variable.upper().startswith(("PIPELINE_", "REDIS_URL")):
            monkeypatch.delenv(variable)
    own = {each["name"]: each["value"] for each in container_of(workload).get("env", [])}
    secret = read(FOLDER / "base" / "secret.yaml")["stringData"]
    for variable, value in {**SETTINGS, **own, **secret}.items():
        monkeypatch.setenv(variable, value)
    settings = Settings.load()
    # A drain is not cut short.
    assert workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == settings.grace + FURTHER
    sources = [next(iter(each.values()))["name"] for each in container_of(workload)["envFrom"]]
    assert sources == [BASE["configMapGenerator"][0]["name"], "server"]
    (port,) = container_of(workload)["ports"]
    of_the_monitor = workload["metadata"]["name"] == "monitor"
    assert port["containerPort"] == (settings.monitor_port if of_the_monitor else settings.metrics_port)
    assert settings.monitor_host == "0.0.0.0"  # noqa: S104  # in a pod, for the Service


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_it_is_asked_whether_it_is_well(workload: Manifest) -> None:
    container = container_of(workload)
    (port,) = container["ports"]
    for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}
    # Longer than the 10 s for which a service waits for its server when it starts.
    assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] > 10
    selected = {"app.kubernetes.io/name": workload["metadata"]["name"]}
    assert workload["metadata"]["labels"] == workload["spec"]["template"]["metadata"]["labels"] == selected


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_it_may_do_as_little_as_in_compose(workload: Manifest) -> None:
    pod, container = workload["spec"]["template"]["spec"], container_of(workload)
    assert (pod["enableServiceLinks"], pod["automountServiceAccountToken"]) == (False, False)
    (user,) = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert pod["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": int(user[0]), "runAsGroup": int(user[1]),
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    # The only place that can be written: the socket of --check is there.
    (volume,) = pod["volumes"]
    assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/tmp"}]  # noqa: S108
    assert {"memory"} == container["resources"]["limits"].keys() < container["resources"]["requests"].keys()
    assert container["image"] == BASE["images"][0]["name"]


def test_prometheus_keda_and_the_services_reach_each_other() -> None:
    """Each port that is asked is let in by the policies, and what the rules need to know of a process is there."""
    resources = dict(written())
    monitor = resources["pod-monitor/pod-monitor.yaml"]["spec"]
    ports = {
        container_of(each)["ports"][0]["name"]: container_of(each)["ports"][0]["containerPort"] for each in WORKLOADS
    }
    asked = {ports[endpoint["port"]] for endpoint in monitor["podMetricsEndpoints"]}
    policy = resources["base/network-policy.yaml"]["spec"]
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == asked == set(ports.values())
    assert 6379 in {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    (rule,) = resources["scaling/demand/network-policy.yaml"]["spec"]["ingress"]
    assert rule["ports"] == [{"port": ports["http"]}]
    part = {key: value for pair in BASE["labels"] for key, value in pair["pairs"].items()}
    assert monitor["selector"]["matchLabels"] == policy["podSelector"]["matchLabels"] == part
    assert monitor["jobLabel"] in part
    rules = (ROOT / "deploy" / "prometheus" / "weir.rules.yml").read_text(encoding="utf-8")
    targets = {
        relabeling["targetLabel"] for each in monitor["podMetricsEndpoints"] for relabeling in each["relabelings"]
    }
    assert targets == {"service"}
    assert "$labels.service" in rules
    jobs = re.findall(r'up\{job=~"(.*?)"\}', rules)
    assert jobs
    assert all(re.fullmatch(pattern, part[monitor["jobLabel"]]) for pattern in jobs)
