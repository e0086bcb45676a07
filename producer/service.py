"""The producer service: puts what the source yields, as fast as the queue takes it. `python -m producer` runs it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from time import monotonic

from producer import source
from shared.health.watched import watched
from shared.logs import Log
from shared.message import Message
from shared.pipeline import Pipeline, open_pipeline, whereabouts
from shared.service import unless
from shared.settings import Settings

log = Log("producer")

_MOST_AT_ONCE = 64


async def work(settings: Settings, stopping: asyncio.Event) -> None:
    """Put all that the source yields, until `stopping`; then finish the put in progress, or withdraw it.

    The resources of shared/resources.py are opened only if the source has `uses_resources = True`.
    """
    async with AsyncExitStack() as stack:
        async with unless(stopping):
            resources = bool(getattr(source, "uses_resources", False))
            pipeline = await stack.enter_async_context(open_pipeline(settings, resources=resources))
        await stack.enter_async_context(watched("producer", pipeline, stopping))
        producing = asyncio.create_task(_produce(pipeline, stopping))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({producing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({producing}, timeout=settings.grace)
        stopped.cancel()
        if not producing.done():
            producing.cancel()
        try:
            await producing
        except asyncio.CancelledError as error:
            log.warning("the queue stayed full for the grace time: the last put is withdrawn", detail=str(error))


async def _produce(pipeline: Pipeline, stopping: asyncio.Event) -> None:
    settings = pipeline.settings
    log.info("producing", queue=settings.queue, maxsize=settings.maxsize, **whereabouts(pipeline))
    put, waited = 0, 0.0
    started_at = monotonic()
    async with aclosing(_batches(pipeline)) as batches:
        async for batch in batches:
            put_at = monotonic()
            await pipeline.queue.put_many(batch)
            put += len(batch)
            waited += monotonic() - put_at
            if stopping.is_set():
                break
            if settings.rate:
                await _pace(started_at + put / settings.rate, stopping)
    log.info(
        "the producer is stopped" if stopping.is_set() else "all messages are put",
        messages=put, seconds=round(monotonic() - started_at, 2), waited_seconds=round(waited, 2),
    )  # fmt: skip


async def _pace(until: float, stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(max(0.0, until - monotonic())):
            await stopping.wait()
    except TimeoutError:
        pass


async def _batches(pipeline: Pipeline) -> AsyncGenerator[list[Message], None]:
    """Messages as they travel together."""
    rate = pipeline.settings.rate
    most = _MOST_AT_ONCE if not rate else max(1, min(_MOST_AT_ONCE, int(rate / 20)))
    batch: list[Message] = []
    async with aclosing(source.messages(pipeline)) as found:
        async for message in found:
            batch.append(message)
            if len(batch) >= most:
                yield batch
                batch = []
    if batch:
        yield batch
