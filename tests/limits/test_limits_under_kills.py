"""Consumers are killed: limit 7 never has 8 in hands, its rate is not exceeded, and nothing is left (rule 24)."""

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Rate, Session
from tests.instruments import figures, limit_processes
from tests.instruments.processes import Process, running
from tests.instruments.waiting import until
from tests.limits.watching import at_rest, of
from tests.order.watching import take

MESSAGES: Final = int(os.environ.get("WEIR_CAMPAIGN_LIMITS", "0"))
TTL: Final = 1.0

pytestmark = pytest.mark.timeout(120 + MESSAGES / 20)


async def test_the_places_of_who_was_killed_are_free_when_it_is_recovered(
    url: str, session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int)
    await queue.limit("api", at_once=2)
    await queue.put_many(range(5), limit="api")
    async with running(limit_processes.hold, url, name, 0.3, 2) as process:
        assert await process.said("holds") == [0, 1]
        await process.kill()
    held = [await take(queue), await take(queue)]
    assert sorted(delivery.item for delivery in held) == [0, 1]
    assert [delivery.attempt for delivery in held] == [2, 2]
    assert (await of(queue)).running == 2
    for delivery in held:
        await delivery.ack()
    for item in (2, 3, 4):
        async with await take(queue) as found:
            assert found == item
    await at_rest(client, name)


def most_in_hands(directory: Path, deaths: dict[int, float]) -> int:
    """The most that were in hands at once: from the begin of each handling to its end, or the death of its process."""
    rows = limit_processes.referee(directory).execute("SELECT pid, began, ended FROM hands").fetchall()
    events = []
    for pid, began, ended in rows:
        over = ended or deaths.get(pid, began)
        events += [(began, 1), (over, -1)]
    count = most = 0
    for _, step in sorted(events):
        count += step
        most = max(most, count)
    return most


@pytest.mark.slow  # four processes, and their deaths
async def test_limit_7_never_has_8_in_hands_while_processes_are_killed(url: str, name: str, tmp_path: Path) -> None:
    count, kills = (MESSAGES, max(1, MESSAGES // 500)) if MESSAGES else (600, 4)
    rate = Rate(400, burst=20)
    deaths: dict[int, float] = {}
    numbers = iter(range(1, 1_000_000))
    limit_processes.referee(tmp_path)
    async with contextlib.AsyncExitStack() as stack, Session.open(url) as session, Redis.from_url(url) as client:
        queue = Queue(session, name, int, max_crashes=None)
        await queue.limit("api", at_once=7, rate=rate)
        handlers: dict[int, Process] = {}

        async def handler() -> None:
            number = next(numbers)
            arguments = (url, name, TTL, str(tmp_path), number)
            handlers[number] = await stack.enter_async_context(running(limit_processes.handle, *arguments))
            await handlers[number].said("ready")

        await asyncio.gather(*(handler() for _ in range(3)))
        await queue.put_many(range(count), limit="api")
        for kill in range(1, kills + 1):
            await until(
                queue.statistics,
                lambda seen, at=kill: seen.acked_total >= min(count - 1, at * count // (kills + 1)),  # type: ignore[misc]
            )
            victim = next(iter(handlers))
            loop = asyncio.get_running_loop()
            await handlers.pop(victim).kill()
            deaths[victim] = await loop.run_in_executor(None, time.time)
            await handler()
        await until(queue.statistics, lambda seen: seen.acked_total == count, 120 + MESSAGES / 20)
        await queue.shutdown()
        for process in handlers.values():
            await process.said("done")
        await at_rest(client, name)
    # A dead one has its place until it is recovered, so its messages are counted until it was killed and no longer.
    most = most_in_hands(tmp_path, deaths)
    assert 2 <= most <= 7
    figures.count("messages", count)
    figures.count("kills", kills)
    figures.count("in hands at most", most)
    rows = limit_processes.referee(tmp_path).execute("SELECT item, began FROM hands ORDER BY began").fetchall()
    assert {item for item, _ in rows} == set(range(count))
    began = [at for _, at in rows]
    # Between two begins lie the deliveries of all but the first; each was delivered before it began.
    assert len(began) - rate.burst <= (began[-1] - began[0] + 2.0) * rate.count
