"""The victim of --chaos: a consumer that takes one delivery and never finishes it, so that the first kill meets one.

However short the work is, a message is then in the hands of a process that is killed. `python -m cli.demo.victim`.
"""

import asyncio
import sys

from shared.concurrency import Queue
from shared.message import Message
from shared.pipeline import open_pipeline
from shared.service import run_service
from shared.settings import Settings
from shared.signals import Signals


async def work(settings: Settings, stopping: asyncio.Event) -> None:
    """Take one delivery and hold it until the end."""
    async with open_pipeline(settings) as pipeline:
        taking = asyncio.create_task(_hold(pipeline.queue))
        await stopping.wait()
        taking.cancel()
        await asyncio.wait({taking})


async def _hold(queue: Queue[Message]) -> None:
    async with await queue.get():
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(run_service("consumer", work, Signals()))
