"""The monitor answers probes and `--check`: well with snapshots, unready and alive without a server."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.health.place import folder
from shared.local.embedded import EmbeddedServer
from tests.instruments.command_line import command, environment
from tests.instruments.page import Answer, Page, watching
from tests.project.test_deploy import OF_QUEUES


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own for the socket that `--check` asks at."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return folder()


@pytest.fixture
def page(server: EmbeddedServer, place: Path) -> Iterator[Page]:
    with watching(server.url, TMPDIR=str(place.parent)) as page:
        yield page


def until(ask: Callable[[], Answer], status: int) -> Answer:
    deadline = time.monotonic() + 40
    while (answer := ask()).status != status:
        assert time.monotonic() < deadline, answer
    return answer


def checked(place: Path) -> tuple[int, str]:
    done = command(("--check",), environment(TMPDIR=str(place.parent), REDIS_URL="nonsense"), "monitor")
    return done.returncode, done.stderr


def values(page: Page) -> dict[str, float]:
    """The samples of /metrics that have no label of a queue."""
    found = text_string_to_metric_families(page.ask("/metrics").body.decode())
    return {sample.name: sample.value for family in found for sample in family.samples if "queue" not in sample.labels}


@pytest.mark.slow
def test_an_outage_is_said_by_all_but_livez_and_is_over_with_it(
    server: EmbeddedServer, place: Path, page: Page
) -> None:
    assert until(lambda: page.ask("/readyz"), 200).body == b"ok\n"
    assert (checked(place), values(page)["weir_connection_up"]) == ((0, ""), 1)
    server.kill()
    said = until(lambda: page.ask("/readyz"), 503).body.decode()
    assert said.startswith("there is no new snapshot")
    code, line = checked(place)
    assert (code, line.count("\n")) == (1, 1)
    assert f"process {page.service.pid}: there is no new snapshot" in line
    assert (page.ask("/livez").status, values(page)["weir_connection_up"]) == (200, 0)
    server.start()
    until(lambda: page.ask("/readyz"), 200)
    assert checked(place) == (0, "")


def test_prometheus_reads_the_queues_there_by_any_name_of_the_host(page: Page) -> None:
    until(lambda: page.ask("/readyz"), 200)
    answer = page.ask("/metrics", Host="monitor.somewhere")
    families = {each.name for each in text_string_to_metric_families(answer.body.decode())}
    assert answer.status == 200
    assert families >= {*OF_QUEUES, "weir_connection_up", "weir_build_info", "process_resident_memory_bytes"}


def test_it_is_well_until_it_ends(page: Page, place: Path) -> None:
    until(lambda: page.ask("/readyz"), 200)
    assert checked(place) == (0, "")
    page.service.terminate()
    page.service.communicate(timeout=30)
    assert checked(place) == (1, "monitor: no such process has begun its work here\n")
