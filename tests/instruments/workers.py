"""The consumer service's worker, for a block."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from consumer.worker.worker import Worker
from shared.concurrency import Queue


@contextlib.asynccontextmanager
async def working(queue: Queue[Any], handle: Any, *, grace: float = 5.0, **options: Any) -> AsyncIterator[Worker[Any]]:
    """Run a worker; at the end of the block it has `grace` seconds for what it handles. `options`: Worker's own."""
    worker = Worker(queue, handle, **options)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        await worker.stop(grace)
        await running
