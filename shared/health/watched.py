"""What every service does so that it can be watched from outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from shared.health.answers import answering
from shared.health.vitals import Vitals
from shared.pipeline import Pipeline


@asynccontextmanager
async def watched(
    service: str, pipeline: Pipeline, stopping: asyncio.Event, *, registers: bool = False
) -> AsyncIterator[None]:
    """Answer inside the block whether this service is well, and serve its metrics where PIPELINE_METRICS_PORT is set.

    `registers`, `stopping`: see Vitals.

    :raises SettingsError: when that port cannot be opened.
    """
    vitals = Vitals(pipeline.session, pipeline.queue, stopping, registers=registers)
    port = pipeline.settings.metrics_port
    async with AsyncExitStack() as stack:
        if port is not None:
            from shared.metrics.serving import serving  # noqa: PLC0415  # costs nothing where it is off

            await stack.enter_async_context(serving(pipeline, vitals, port))
        await stack.enter_async_context(answering(service, vitals.unwell))
        yield
