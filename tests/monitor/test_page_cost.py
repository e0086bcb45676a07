"""The page answers in under 200 ms: a million messages, 100,000 dead letters, 200 sessions, 100 queues."""

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.local.embedded import EmbeddedServer
from tests.instruments.page import Page, watching
from tests.monitor.test_snapshot_cost import DEAD, PENDING, SESSIONS, fill, make_queues

LONGEST: Final = 0.2
"""Seconds until an answer is there."""
PATHS: Final = (
    "/", "/static/page.js", "/snapshot.json", "/metrics", "/readyz", "/letter?queue=queue-7&reason=failed",
    "/letter?queue=queue-7&reason=failed&payload=yes", "/letter?queue=queue-7&reason=none",
)  # fmt: skip


def taken(times: int, ask: Callable[[], object]) -> list[float]:
    """Seconds that each of so many questions took."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        found.append(time.perf_counter() - began)
    return found


def measure(page: Page) -> dict[str, list[float]]:
    with page.stream("/events?queue=queue-7") as stream:
        view = stream.until(lambda each: len(each.get("queues", ())) == 100)
        assert sum(each["pending"] for each in view["queues"]) == PENDING
        assert sum(each["dead"] for each in view["queues"]) == DEAD
        assert view["queue"]["consumer_count"] == SESSIONS // 100

        def first_view() -> None:
            with page.stream("/events?queue=queue-7") as other:
                other.view()

        found = {path: taken(30, lambda path=path: page.ask(path)) for path in PATHS}  # type: ignore[misc]
        return {**found, "/events": taken(30, first_view)}


@pytest.mark.slow
@pytest.mark.timing
@pytest.mark.timeout(300)
async def test_it_answers_soon_however_much_there_is(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url, protocol=3) as client:
        await make_queues(server.url, client)
        await fill(client)
    with watching(server.url, PIPELINE_QUEUE="queue-7") as page:
        found = await asyncio.to_thread(measure, page)
    words = {path: f"{1000 * statistics.median(each):.1f} to {1000 * max(each):.0f} ms" for path, each in found.items()}
    print(words)  # noqa: T201  # what was measured, for who runs it with -s
    assert max(statistics.median(each) for each in found.values()) < LONGEST, words
