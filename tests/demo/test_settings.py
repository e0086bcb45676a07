"""The settings of the word count."""

import os
from pathlib import Path

import pytest

from shared.environment import SettingsError
from shared.settings import Settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for variable in os.environ:
        if variable.upper().startswith(("PIPELINE_", "REDIS_URL")):
            monkeypatch.delenv(variable)
    return monkeypatch


def test_they_are_read_by_name(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PIPELINE_SOURCE_PATH", "/srv/tree")
    environment.setenv("PIPELINE_PASSES", "2")
    settings = Settings.load()
    assert (settings.source_path, settings.passes, settings.queue) == (Path("/srv/tree"), 2, "jobs")


@pytest.mark.parametrize(
    "variable,value",
    [
        ("PIPELINE_SOURCE_PATH", ""),
        ("PIPELINE_SOURCE_GLOB", "/etc/*"),
        ("PIPELINE_SOURCE_GLOB", "../*"),
        ("PIPELINE_SOURCE_GLOB", ""),
        ("PIPELINE_SHARES", "0"),
        ("PIPELINE_MAXSIZE", "-1"),
        ("PIPELINE_PASSES", "-1"),
        ("PIPELINE_RUN", "a b"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable(
    environment: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    environment.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    (line,) = str(caught.value).splitlines()
    assert line.startswith(variable)
