"""Three processes submit to three that answer, while processes are killed: every future has its own result.

`./run campaign results` has more of them, with a kill for every 2,500.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from tests.instruments import figures
from tests.instruments.census import take_census
from tests.instruments.chance import chance
from tests.instruments.processes import Process, running
from tests.instruments.submitting import IN_FLIGHT, answer_numbers, missing, submit_numbers
from tests.instruments.waiting import until

SUBMISSIONS: Final = int(os.environ.get("WEIR_CAMPAIGN_SUBMISSIONS", "0"))
TTL: Final = 1.0

pytestmark = pytest.mark.timeout(60 + SUBMISSIONS / 100)


async def test_every_future_resolves_with_its_own_result_while_processes_are_killed(url: str, name: str) -> None:
    count, kills = (SUBMISSIONS, max(4, SUBMISSIONS // 2500)) if SUBMISSIONS else (2000, 4)
    victims = chance()
    async with AsyncExitStack() as stack, Session.open(url, ttl=TTL) as session, Redis.from_url(url) as client:
        queue = Queue(session, name, int)
        submitters: list[Process] = []
        answerers: list[Process] = []

        async def submitter(first: int, *, with_ids: bool) -> None:
            # Every third number: each has its share.
            numbers = [first, count, 3]
            process = await stack.enter_async_context(running(submit_numbers, url, name, TTL, numbers, with_ids))
            submitters.append(process)

        async def answerer() -> None:
            answerers.append(await stack.enter_async_context(running(answer_numbers, url, name, TTL)))
            await answerers[-1].said("ready")

        async def heard() -> int:
            return sum(len(portion) for process in submitters for portion in process.reports("right"))

        await asyncio.gather(*(answerer() for _ in range(3)))
        await asyncio.gather(*(submitter(first, with_ids=first == 2) for first in range(3)))
        for kill in range(1, kills + 1):
            await until(heard, lambda heard, kill=kill: heard >= kill * count // (kills + 1), 300)  # type: ignore[misc]
            if kill == kills // 2:
                # The futures of a process are gone with it; one that submits under the same ids has the same results.
                await submitters[2].kill()
                await submitter(2, with_ids=True)
            else:
                victim = answerers.pop(victims.randrange(len(answerers)))
                await asyncio.gather(victim.kill(), answerer())
        alive = [submitters[0], submitters[1], submitters[-1]]
        await asyncio.gather(*(process.said("end", 1, 60 + count / 100) for process in alive))
        await queue.join()
        statistics = await queue.statistics()
        census = await take_census(client, name)
        await queue.shutdown()
        await asyncio.gather(*(process.said("end") for process in answerers))
    wrong = [said for process in submitters for said in process.reports("wrong")]
    assert wrong == []
    assert missing((portion for process in submitters for portion in process.reports("right")), count) == set()
    census.check()
    figures.count("results", statistics.put_total)
    figures.count("kills", kills)
    figures.count("dead letters", statistics.dead)
    # Known by their ids, those of the process that was killed went in once.
    assert statistics.put_total == count
    assert statistics.dead == len(range(0, count, 97))
    # What was heard is forgotten, but for what has an id.
    kept = await _kept(url, name)
    assert len(range(2, count, 3)) <= kept <= len(range(2, count, 3)) + IN_FLIGHT


async def _kept(url: str, name: str) -> int:
    async with Redis.from_url(url) as client:
        kept: int = await client.zcard(f"{{{name}}}:results:due")
        return kept
