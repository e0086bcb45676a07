"""Processes of two protocol levels beside each other, under load: what docs/releases.md says of them."""

import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from shared.concurrency.queues.membership.keys import queue_keys
from shared.concurrency.queues.membership.level import KNOWN
from tests.instruments import figures
from tests.instruments.edition_levels import LEVEL, of_the_next_level, of_this_level
from tests.instruments.editions import Deployment, edition
from tests.instruments.services import Service, running, wait_for

pytestmark = [pytest.mark.usefixtures("command_line"), pytest.mark.slow, pytest.mark.timeout(150)]

CLASSES: Final = """
class Order(Message{key}):
    number: int
    by: str
    customer: str


def sent(number: int) -> list[Message]:
    return [Order(number=number, by=EDITION, customer=str(number % 10))]
"""
REFUSED: Final = "used by a newer Weir: upgrade this process"
ENOUGH: Final = 200
"""Messages by which load is seen to go on."""


def until(look: Callable[[], bool], seconds: float = 50) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pairs(deployment: Deployment) -> Counter[tuple[str, str]]:
    """How many messages each edition has handled of each."""
    return Counter((by, fields["by"]) for by, _, _, fields in deployment.handled())


def goes_on(deployment: Deployment) -> None:
    """Wait until some more messages are handled."""
    before = deployment.client.llen(f"{{{deployment.queue}}}:handled")
    until(lambda: deployment.client.llen(f"{{{deployment.queue}}}:handled") >= before + ENOUGH)


def drained(service: Service) -> str:
    """End a service as an orchestrator does; what it said since it began."""
    service.send_signal(signal.SIGTERM)
    _, said = service.communicate(timeout=90)
    assert service.returncode == 0, said
    return said


@pytest.mark.parametrize("key", ["", ', key="customer"'], ids=["plain", "keyed"])
def test_two_levels_work_together_until_the_queue_needs_the_newer(
    tmp_path: Path, url: str, name: str, key: str
) -> None:
    classes, told = CLASSES.format(key=key), tmp_path / "told"
    old, new = of_this_level(tmp_path, "old", classes), of_the_next_level(tmp_path, "new", classes, told)
    # Each producer claims a share of its own, or the second would stand by.
    settings = {
        "REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_MAXSIZE": "100", "PIPELINE_RATE": "300", "PIPELINE_SHARES": "2",
    }  # fmt: skip
    stored = queue_keys(name)["settings"].decode()
    deployment = Deployment(url, name)
    with (
        deployment.consumer(old) as old_consumer, deployment.consumer(new) as new_consumer,
        running("producer", old, **settings) as old_producer, running("producer", new, **settings) as new_producer,
    ):  # fmt: skip
        everybody = {(by, of) for by in ("old", "new") for of in ("old", "new")}
        # Together: each handles what the other puts.
        until(lambda: all(pairs(deployment)[pair] >= ENOUGH // 4 for pair in everybody))
        level = deployment.client.hget(stored, "flow")
        assert level == (b"%d" % KNOWN if key else None)

        told.touch()
        # The older refuses, says what to do, and ends; the consumer takes nothing more.
        _, said = old_producer.communicate(timeout=60)
        assert (old_producer.returncode, REFUSED in said) == (2, True), said
        wait_for(old_consumer, REFUSED)
        assert deployment.client.hget(stored, "flow") == b"%d" % LEVEL
        # Under load as before: the newer goes on, and the older settles what it holds and has no more.
        goes_on(deployment)
        before = pairs(deployment)
        goes_on(deployment)
        assert not [pair for pair in pairs(deployment) - before if pair[0] == "old"]
        drained(old_consumer)
        drained(new_producer)
        until(lambda: deployment.client.llen(queue_keys(name)["pending"].decode()) == 0)
        drained(new_consumer)
    put, acked = (int(total) for total in deployment.client.hmget(queue_keys(name)["totals"].decode(), "put", "acked"))
    handled = [(fields["by"], fields["number"]) for _, _, _, fields in deployment.handled()]
    # Nothing is lost, and nothing done twice.
    assert put == acked == len(handled) == len(set(handled))
    figures.count("messages of two levels", put)
    figures.count("processes of the older level that said what to do", 2)
    assert deployment.dead() == 0


def test_who_starts_below_the_level_of_a_queue_says_so_at_once(tmp_path: Path, url: str, name: str) -> None:
    old = edition(tmp_path, "old", CLASSES.format(key=""))
    deployment = Deployment(url, name)
    deployment.put(old, 3)
    deployment.client.hset(queue_keys(name)["settings"].decode(), "flow", str(LEVEL))
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_ORDERS": "3"}
    with running("producer", old, **settings) as producer:
        _, said = producer.communicate(timeout=60)
    assert (producer.returncode, REFUSED in said) == (2, True), said
    with deployment.consumer(old) as consumer:
        wait_for(consumer, REFUSED)
        drained(consumer)
    assert deployment.handled() == []
    assert int(deployment.client.llen(queue_keys(name)["pending"].decode())) == 3
