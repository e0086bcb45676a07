"""Several processes handle messages of many keys while one of them is killed with -9 again and again.

A referee outside of the server finds each key in order, never two of a key at once, and nothing lost.
`./run campaign order` has more of them over 1,000 keys, with a kill every second.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from tests.campaigns.checkers.order import judge_order
from tests.instruments.census import take_census
from tests.instruments.chance import chance
from tests.instruments.ordering import handle_in_order, missing, put_in_order, read_notes
from tests.instruments.processes import Process, running
from tests.instruments.waiting import until
from tests.order.watching import at_rest

MESSAGES: Final = int(os.environ.get("WEIR_CAMPAIGN_ORDER", "0"))
TTL: Final = 1.0
PARTS: Final = 2
HANDLERS: Final = 3

pytestmark = pytest.mark.timeout(120 + MESSAGES / 50)


@pytest.mark.slow  # five processes
async def test_each_key_is_in_order_while_processes_are_killed(url: str, name: str, tmp_path: Path) -> None:
    count, keys, kills, pause = (
        (MESSAGES // PARTS, 500, max(1, MESSAGES // 2000), 1.0) if MESSAGES else (1500, 30, 4, 0.0)
    )
    victims = chance()
    async with AsyncExitStack() as stack, Session.open(url, ttl=TTL) as session, Redis.from_url(url) as client:
        queue = Queue(session, name, int, maxsize=400, max_crashes=None)
        await queue.qsize()
        handlers: list[Process] = []

        async def handler() -> None:
            arguments = (url, name, TTL, str(tmp_path), 0.05)
            handlers.append(await stack.enter_async_context(running(handle_in_order, *arguments)))
            await handlers[-1].said("ready")

        async def acked() -> int:
            return (await queue.statistics()).acked_total

        await asyncio.gather(*(handler() for _ in range(HANDLERS)))
        producers = [
            await stack.enter_async_context(running(put_in_order, url, name, count, keys, part))
            for part in range(PARTS)
        ]
        killed = 0
        while killed < kills and await acked() < count * PARTS:
            if pause:
                await asyncio.sleep(pause)  # a kill every second is what the campaign is
            else:
                least = (killed + 1) * count * PARTS // (kills + 2)
                await until(acked, lambda now, least=least: now >= least, 100)  # type: ignore[misc]
            await handlers.pop(victims.randrange(len(handlers))).kill()
            killed += 1
            await handler()
        await asyncio.gather(*(producer.said("end", 1, 60 + count / 25) for producer in producers))
        await queue.join()
        census = await take_census(client, name)
        statistics = await queue.statistics()
        await queue.shutdown()
        await asyncio.gather(*(process.said("end") for process in handlers))
        await at_rest(queue)
    census.check()
    notes = list(read_notes(tmp_path))
    order = judge_order(notes)
    assert missing(notes, count, keys, PARTS) == set()
    assert order.backwards == ()
    assert order.together == ()
    assert (statistics.dead_total, statistics.acked_total) == (0, count * PARTS)
    assert (killed > 0, order.begun > count * PARTS) == (True, True)
    print(f"{killed} kills, {order.begun} attempts, {statistics.recovered_total} recovered")  # noqa: T201


def test_the_referee_sees_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("began 0-1 1 10\ndid 0-1 1 30\nbegan 0-1 3 70\nbegan 0-1")
    (tmp_path / "b").write_text("began 0-1 3 20\ndid 0-1 3 40\nbegan 0-1 1 50\ndid 0-1 1 60\n")
    notes = list(read_notes(tmp_path))
    order = judge_order(notes)
    assert missing(notes, 4, 2, 1) == {(0, 0), (0, 2)}
    assert [(one.number, other.number) for one, other in order.backwards] == [(3, 1)]
    assert [(one.process, other.process) for one, other in order.together] == [("a", "b")]
    assert (order.begun, order.keys) == (4, 1)


def test_two_of_a_key_in_hands_of_one_process_are_seen_and_one_that_was_killed_met_nobody(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("began 0-1 1 10\nbegan 0-1 3 20\ndid 0-1 1 30\ndid 0-1 3 40\n")
    assert [(one.number, other.number) for one, other in judge_order(read_notes(tmp_path)).together] == [(1, 3)]
    (tmp_path / "a").write_text("began 0-1 1 10\n")
    (tmp_path / "b").write_text("began 0-1 1 20\ndid 0-1 1 30\nbegan 0-1 3 40\ndid 0-1 3 50\n")
    assert judge_order(read_notes(tmp_path)).together == ()
