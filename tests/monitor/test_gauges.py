"""The gauges of queues say what the snapshot says, and what the queue itself says."""

import asyncio
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from monitor.gauges import QueueGauges
from monitor.link import open_link
from monitor.snapshot import Snapshot
from monitor.watch import open_watch
from shared.concurrency import Delivery, Queue, Session
from shared.concurrency.queues.service import notified_to_drain
from tests.instruments.waiting import until
from tests.instruments.workers import working
from tests.project.test_deploy import OF_QUEUES

SAME: Final = ("pending", "leased", "delayed", "dead", "puts_waiting", "at_limits", "maxsize")
"""What statistics call by the same word."""


def gauges(snapshot: Snapshot | None) -> dict[tuple[str, str], float]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(QueueGauges(lambda: snapshot))
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert {family.name for family in families} == OF_QUEUES
    assert {family.type for family in families} == {"gauge"}
    return {
        (sample.name.removeprefix("weir_queue_"), sample.labels["queue"]): sample.value
        for family in families
        for sample in family.samples
    }


async def seen_at(url: str) -> dict[tuple[str, str], float]:
    async with open_link(url) as link, open_watch(link) as watch:
        return gauges(await watch.snapshot())


async def test_they_say_what_the_queue_says(url: str, session: Session, other: Session, name: str) -> None:
    queue, go, begun = Queue(session, name, int, maxsize=3, max_attempts=2), asyncio.Event(), asyncio.Event()

    async def handle(_: Delivery[int]) -> None:
        begun.set()
        await go.wait()

    await queue.put_many(range(3))
    await (await queue.get()).dead_letter("unwanted")
    await (await queue.get()).nack(delay=60)
    there = Queue(other, name, int)
    draining = asyncio.create_task(notified_to_drain(there))  # which makes it a consumer service
    await asyncio.sleep(0)
    async with working(there, handle, concurrency=1):
        await begun.wait()
        await queue.pause()
        waiting = asyncio.create_task(queue.put_many(range(5)))
        truth = await until(queue.statistics, lambda seen: seen.puts_waiting > 0)
        found = await seen_at(url)
        assert {word: found[word, name] for word in SAME} == {word: getattr(truth, word) for word in SAME}
        assert (truth.leased, truth.delayed, truth.dead, truth.maxsize) == (1, 1, 1, 3)
        assert found["demand", name] == truth.pending + truth.puts_waiting + truth.leased > truth.puts_waiting + 1
        assert (found["paused", name], found["consumers", name]) == (1, 1)
        assert truth.oldest_pending_seconds <= found["oldest_pending_seconds", name] < 60
        waiting.cancel()
        draining.cancel()
        await asyncio.wait({waiting, draining})
        await queue.resume()
        go.set()


def test_without_a_snapshot_there_is_no_old_figure() -> None:
    assert gauges(None) == {}
