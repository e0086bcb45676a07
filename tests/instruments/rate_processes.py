"""Programs of tests that run in processes of their own: those that go by a rate."""

import time

from shared.concurrency import Rate, RateLimit, Session
from tests.instruments.processes import report


async def go(url: str, name: str, rate: tuple[int, float, int], times: int) -> None:
    """Go so many times, one after another; says `went` with when each asked and went."""
    async with Session.open(url) as session:
        limit = RateLimit(session, name, Rate(rate[0], per=rate[1], burst=rate[2]))
        spans = []
        for _ in range(times):
            asked = time.time()
            async with limit:
                spans.append((asked, time.time()))
        report("went", spans)


async def wait(url: str, name: str, ttl: float, rate: tuple[int, float, int]) -> None:
    """Wait for one's turn; says `went` when it came."""
    async with Session.open(url, ttl=ttl) as session:
        await RateLimit(session, name, Rate(rate[0], per=rate[1], burst=rate[2])).acquire()
        report("went")
