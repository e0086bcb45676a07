"""What every service does so that it can be watched from outside."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from shared.concurrency import Queue
from shared.health.answers import answering
from shared.health.vitals import Vitals
from shared.message import Message
from shared.pipeline import Pipeline


@asynccontextmanager
async def watched(
    service: str, pipeline: Pipeline, stopping: asyncio.Event, *, queues: Sequence[Queue[Message]] = ()
) -> AsyncIterator[None]:
    """Answer inside the block whether this service is well, and serve its metrics where PIPELINE_METRICS_PORT is set.

    `queues`: those that a consumer takes from, at which it registers by itself. `stopping`: see Vitals.

    :raises SettingsError: when that port cannot be opened.
    """
    vitals = Vitals(pipeline.session, queues or [pipeline.queue], stopping, registers=bool(queues))
    port = pipeline.settings.metrics_port
    async with AsyncExitStack() as stack:
        if port is not None:
            from shared.metrics.serving import serving  # noqa: PLC0415  # costs nothing where it is off

            await stack.enter_async_context(serving(pipeline, queues or [pipeline.queue], vitals, port))
        await stack.enter_async_context(answering(service, vitals.unwell))
        yield
