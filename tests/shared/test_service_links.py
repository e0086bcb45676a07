"""Services of Kubernetes whose names are like our settings: their variables are never taken for settings."""

import os

import pytest

from shared.environment import Environment, SettingsError
from tests.instruments.command_line import command, environment


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without settings of ours."""
    for variable in os.environ:
        if variable.upper().startswith(("PIPELINE_", "REDIS_")):
            monkeypatch.delenv(variable)
    return monkeypatch


def links(service: str, port: int = 9100, name: str = "HTTP") -> dict[str, str]:
    """What Kubernetes sets for a Service, in the words of its documentation of `enableServiceLinks`."""
    word, place = service.upper().replace("-", "_"), f"10.0.0.11:{port}"
    return {
        f"{word}_SERVICE_HOST": "10.0.0.11", f"{word}_SERVICE_PORT": str(port), f"{word}_SERVICE_PORT_{name}": str(port),
        f"{word}_PORT": f"tcp://{place}", f"{word}_PORT_{port}_TCP": f"tcp://{place}",
        f"{word}_PORT_{port}_TCP_PROTO": "tcp", f"{word}_PORT_{port}_TCP_PORT": str(port),
        f"{word}_PORT_{port}_TCP_ADDR": "10.0.0.11",
    }  # fmt: skip


# Their _PORT is PIPELINE_PORT, which is no setting, and PIPELINE_METRICS_PORT and PIPELINE_MONITOR_PORT, which are.
@pytest.mark.parametrize("service", ["pipeline", "pipeline-metrics", "pipeline-monitor", "pipeline-jobs-port"])
def test_a_service_is_no_setting(variables: pytest.MonkeyPatch, service: str) -> None:
    before = Environment.load()
    for name, value in links(service).items():
        variables.setenv(name, value)
    assert Environment.load() == before
    assert Environment() == before


def test_what_is_set_beside_such_a_service_counts(variables: pytest.MonkeyPatch) -> None:
    for name, value in {**links("pipeline-metrics"), "PIPELINE_METRICS_PORT": "9200"}.items():
        variables.setenv(name, value)
    assert Environment.load().metrics_port == 9200


class Mine(Environment):
    """An application's own, whose names a Service might have."""

    mail_service_host: str = "localhost"
    mail_port: int = 25


def test_a_setting_that_looks_like_one_counts_where_there_is_no_such_service(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("PIPELINE_MAIL_SERVICE_HOST", "mail.example")
    variables.setenv("PIPELINE_MAIL_PORT", "2525")
    assert (Mine.load().mail_service_host, Mine.load().mail_port) == ("mail.example", 2525)


@pytest.mark.parametrize("missing", ["PIPELINE_METRICS_SERVICE_HOST", "PIPELINE_METRICS_SERVICE_PORT"])
def test_a_mistake_is_still_an_error(variables: pytest.MonkeyPatch, missing: str) -> None:
    """Without the two that are always there it is no Service, and somebody has written this."""
    for name, value in links("pipeline-metrics").items():
        if name != missing:
            variables.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Environment.load()
    said = str(caught.value)
    assert "PIPELINE_METRICS_PORT_9100_TCP_ADDR: no such setting" in said
    # The other service's names excuse nothing else.
    for name, value in links("pipeline").items():
        variables.setenv(name, value)
    variables.setenv("PIPELINE_QUEU", "mail")
    with pytest.raises(SettingsError, match="PIPELINE_QUEU: no such setting; did you mean PIPELINE_QUEUE"):
        Environment.load()


@pytest.mark.usefixtures("command_line")
@pytest.mark.parametrize("service", ["pipeline", "pipeline-metrics"])
def test_a_program_starts_beside_such_a_service(url: str, service: str) -> None:
    done = command(("queue", "list", "--json"), {**environment(REDIS_URL=url), **links(service)})
    assert done.returncode == 0, done.stderr
