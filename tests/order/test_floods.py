"""Processes flood a queue, each with a share of its own, and are killed with -9: a quiet share gets its turns."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from tests.instruments.census import take_census
from tests.instruments.flooding import flood
from tests.instruments.processes import running
from tests.instruments.waiting import until
from tests.order.watching import lengths, take

FLOODS: Final = 4
MANY: Final = 600
TTL: Final = 1.0


@pytest.mark.slow  # four processes
@pytest.mark.timeout(180)
async def test_a_quiet_share_gets_its_turns_among_processes_that_flood_and_die(
    url: str, name: str, client: Redis
) -> None:
    async with AsyncExitStack() as stack, Session.open(url, ttl=TTL) as session:
        queue = Queue(session, name, int, maxsize=100)
        await queue.statistics()
        flooding = [
            await stack.enter_async_context(running(flood, url, name, f"flood-{number}", MANY, TTL))
            for number in range(FLOODS)
        ]
        await asyncio.gather(*(process.said("begins") for process in flooding))
        await until(queue.statistics, lambda seen: seen.pending + seen.puts_waiting >= 250 * FLOODS)
        seen: list[str | None] = []

        async def handle_one() -> str | None:
            delivery = await take(queue)
            seen.append(delivery.share)
            await delivery.ack()
            return delivery.share

        for number in range(10):
            if number == 5:
                await flooding[0].kill()
            quiet = asyncio.create_task(queue.put(number, share="quiet"))
            before = 0
            while await handle_one() != "quiet":
                before += 1
            assert before <= 20
            await quiet
        await until(queue.statistics, lambda now: now.pending + now.puts_waiting > 0)
        while (now := await queue.statistics()).pending + now.puts_waiting:
            async with asyncio.timeout(TTL):  # what waits of the one that was killed goes with its session
                await handle_one()
        await asyncio.gather(*(process.said("end") for process in flooding[1:]))
        count = Counter(seen)
        assert [count[f"flood-{number}"] for number in range(1, FLOODS)] == [MANY] * (FLOODS - 1)
        assert (count["quiet"], count["flood-0"] <= MANY) == (10, True)
        census = await take_census(client, name)
        # What was let in of the one that was killed stays there for a day: it might have been stopped, and ask.
        await until(lambda: lengths(queue), lambda found: not found.keys() - {"let_in"})
    census.check()
