"""What /metrics says equals the truth, has the names that dashboards know, and is not there where it is off."""

import json
import re
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from shared.message import Message
from shared.version import VERSION
from tests.instruments.command_line import ROOT, environment
from tests.instruments.handlers import order
from tests.instruments.services import Service, consuming, running, wait_for

NAMES: Final = {
    "weir_messages_put", "weir_deliveries_acked", "weir_deliveries_nacked", "weir_deliveries_recovered",
    "weir_dead_letters", "weir_put_wait_seconds", "weir_lease_wait_seconds", "weir_sessions_lost", "weir_queues_forgotten", "weir_reconnects",
    "weir_stale_deliveries", "weir_lease_lost", "weir_start_latency_seconds", "weir_handler_duration_seconds", "weir_connection_up", "weir_build_info",
}  # fmt: skip

DOES = """
@handles(Errand, attempts=2, backoff=Backoff(first=0, longest=0))
async def does(delivery, pipeline):
    if delivery.item.text == "fail":
        raise LookupError("nothing there")
    if delivery.item.text == "reject":
        raise Reject("any text that a handler likes")
    if delivery.item.text == "effect":
        delivery.effects.incrby(f"{{{pipeline.queue.name}}}:effects", 1)
    async with pipeline.resources.shop.read():
        pass
"""

HANGS = """
@handles(Errand)
async def hang(delivery, pipeline):
    time.sleep(60)
"""

Samples = dict[tuple[str, ...], float]
"""The name of a sample, then its labels in the order of their names -> its value."""


@pytest.fixture
async def queue(session: Session, name: str) -> Queue[Message]:
    """The queue of the services."""
    return Queue(session, name, Message)


def port_of(service: Service) -> int:
    return int(json.loads(wait_for(service, "metrics are served")[-1])["port"])


def got(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(port: int) -> Samples:
    status, text = got(port, "/metrics")
    assert status == 200
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def until(port: int, satisfied: Callable[[Samples], bool]) -> Samples:
    deadline = time.monotonic() + 90
    while not satisfied(found := samples(port)):
        assert time.monotonic() < deadline, found
    return found


def until_answered(port: int, path: str, code: int) -> str:
    deadline = time.monotonic() + 90
    while (answer := got(port, path))[0] != code:
        assert time.monotonic() < deadline, answer
    return answer[1]


@contextmanager
def measured(module: str, url: str, name: str, **settings: str) -> Iterator[tuple[Service, int]]:
    with running(module, REDIS_URL=url, PIPELINE_QUEUE=name, PIPELINE_METRICS_PORT="0", **settings) as service:
        yield service, port_of(service)


async def test_the_numbers_of_a_consumer_equal_the_truth(
    copy: Path, url: str, name: str, queue: Queue[Message]
) -> None:
    orders = [*["fine"] * 20, *["fail"] * 3, "reject", *["effect"] * 5]
    await queue.put_many(order(text) for text in orders)
    with consuming(copy, DOES, url, name, PIPELINE_METRICS_PORT="0") as consumer:
        port = port_of(consumer)
        await queue.join()
        # What was handled last is counted when the loop of the consumer comes to it, behind the acknowledgement.
        found = until(
            port,
            lambda found: (
                (found["weir_deliveries_acked_total", name], found["weir_handler_duration_seconds_count", name])
                == (25, 25 + 6 + 1)
            ),
        )
    truth = await queue.statistics()
    assert truth.acked_total == 25
    assert found["weir_deliveries_nacked_total", name] == truth.nacked_total == 6
    assert found["weir_dead_letters_total", name, "failed"] == 3
    assert found["weir_dead_letters_total", name, "rejected"] == 1
    assert truth.dead_total == 4
    assert found["weir_messages_put_total", name] == 0
    # Each message waited once, and each attempt was handled.
    assert found["weir_start_latency_seconds_count", name] == len(orders)
    assert found["weir_lease_wait_seconds_count", "read"] >= 1
    assert found["weir_stale_deliveries_total", name] == found["weir_sessions_lost_total", name] == 0
    assert found["weir_lease_lost_total", "read"] == found[("weir_reconnects_total",)] == 0
    assert found[("weir_connection_up",)] == 1


async def test_the_numbers_of_a_producer_equal_the_truth(url: str, name: str, queue: Queue[Message]) -> None:
    with measured("producer", url, name, PIPELINE_MAXSIZE="30", PIPELINE_GRACE="0.5") as (_, port):
        until(port, lambda found: found["weir_messages_put_total", name] == 30)
        assert (await queue.statistics()).put_total == 30
        for _ in range(10):
            async with await queue.get():
                pass
        until(port, lambda found: found["weir_messages_put_total", name] == 40)
        assert (await queue.statistics()).put_total == 40


@pytest.mark.parametrize("module", ["producer", "consumer", "producer.clock"])
def test_the_names_are_those_that_dashboards_know(url: str, name: str, module: str) -> None:
    with measured(module, url, name, PIPELINE_MAXSIZE="5", PIPELINE_GRACE="0.2") as (_, port):
        status, text = got(port, "/metrics")
        assert status == 200
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert {name for name in families if not name.startswith("process_")} == NAMES
        assert all(family.documentation for family in families.values())
        (info,) = families["weir_build_info"].samples
        assert info.labels["version"] == VERSION
        assert "process_cpu_seconds" in families


def test_the_package_has_the_version_that_is_measured() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in found["project"]["dynamic"]
    where = found["tool"]["hatch"]["version"]
    assert re.findall(where["pattern"], (ROOT / where["path"]).read_text(encoding="utf-8")) == [VERSION]


def test_a_bucket_holds_those_below_it(url: str, name: str) -> None:
    settings = {"PIPELINE_ORDERS": "1000", "PIPELINE_MAXSIZE": "0", "PIPELINE_RATE": "2000"}
    with measured("producer", url, name, **settings) as (_, port):
        found = until(port, lambda found: found.get(("weir_put_wait_seconds_count", name), 0) >= 5)
        buckets = [value for key, value in found.items() if key[0] == "weir_put_wait_seconds_bucket"]
        assert buckets == sorted(buckets)
        assert buckets[-1] == found["weir_put_wait_seconds_count", name]
        assert 0 < found["weir_put_wait_seconds_sum", name] < 60 * buckets[-1]


@pytest.mark.slow
def test_probes_answer_through_an_outage(server: EmbeddedServer, name: str) -> None:
    with measured("consumer", server.url, name, PIPELINE_SESSION_TTL="1") as (consumer, port):
        assert until_answered(port, "/readyz", 200) == got(port, "/livez")[1] == "ok\n"
        server.kill()
        # An outage of the server would restart every process else.
        assert "has no connection to the server" in until_answered(port, "/readyz", 503)
        assert until(port, lambda found: found["weir_sessions_lost_total", name] == 1)[("weir_connection_up",)] == 0
        assert got(port, "/livez") == (200, "ok\n")
        server.start()
        until_answered(port, "/readyz", 200)
        assert samples(port)[("weir_reconnects_total",)] == 1
        assert got(port, "/elsewhere")[0] == 404
        consumer.terminate()
        consumer.communicate(timeout=90)


@pytest.mark.slow
async def test_a_consumer_whose_loop_hangs_is_dead(copy: Path, url: str, name: str, queue: Queue[Message]) -> None:
    await queue.put(order("x"))
    with consuming(copy, HANGS, url, name, PIPELINE_METRICS_PORT="0", PIPELINE_SESSION_TTL="1") as consumer:
        port = port_of(consumer)
        assert got(port, "/livez")[0] == 200  # not yet: a handler may block for a moment
        said = until_answered(port, "/livez", 503)
        assert said.startswith("its event loop has not turned for 1")
        assert got(port, "/readyz")[0] == 503
        assert got(port, "/metrics")[0] == 200


def test_a_port_that_is_taken_is_one_line_and_2(url: str, name: str) -> None:
    with measured("consumer", url, name) as (_, port):
        settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_METRICS_PORT": str(port)}
        with running("consumer", **settings) as second:
            _, said = second.communicate(timeout=90)
        assert second.returncode == 2
        assert said == f"consumer: PIPELINE_METRICS_PORT: port {port} cannot be opened: Address already in use\n"


def test_off_is_off(url: str, name: str) -> None:
    program = (
        "import asyncio, sys, threading\n"
        "from shared.health.watched import watched\nfrom shared.pipeline import open_pipeline\n"
        "from shared.concurrency.session.session import process_of\nfrom shared.settings import Settings\n"
        "async def main():\n"
        "    async with open_pipeline(Settings.load()) as pipeline:\n"
        "        async with watched('producer', pipeline, asyncio.Event()):\n"
        "            print('prometheus_client' in sys.modules, 'http.server' in sys.modules,\n"
        "                  sorted(each.name for each in threading.enumerate()),\n"
        "                  process_of(pipeline.session).calls.tally.put_waits)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(REDIS_URL=url, PIPELINE_QUEUE=name),
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "False False ['MainThread', 'weir-heartbeat'] None\n"
