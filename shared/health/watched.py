"""What every service does so that it can be watched from outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.health.answers import answering
from shared.health.vitals import Vitals
from shared.pipeline import Pipeline


@asynccontextmanager
async def watched(
    service: str, pipeline: Pipeline, stopping: asyncio.Event, *, registers: bool = False
) -> AsyncIterator[None]:
    """Answer inside the block whether this service is well; `registers`, `stopping`: see Vitals."""
    vitals = Vitals(pipeline.session, pipeline.queue, stopping, registers=registers)
    async with answering(service, vitals.unwell):
        yield
