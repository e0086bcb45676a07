"""One process at a stage: `python -m examples.stages.one_stage URL NAME STAGE`. Works until it is killed."""

import asyncio
import sys

import structlog

from examples.stages.shop import TTL, Shop
from shared.concurrency import Session


async def work(url: str, name: str, stage: str) -> None:
    """Take, handle and acknowledge, twenty at once."""
    async with Session.open(url, ttl=TTL) as session:
        worker = Shop.of(session, name).worker(stage)
        print("ready", flush=True)
        await worker.run()


if __name__ == "__main__":
    # Stdout is not read after the line "ready".
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(work(*sys.argv[1:]))
