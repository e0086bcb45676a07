"""The producer service: puts what the source yields, as fast as the queue takes it. `python -m producer` runs it."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from time import monotonic
from typing import Any

from producer import source
from producer.claims import Claim, Claims
from producer.share import Share
from shared.health.watched import watched
from shared.logs import Log
from shared.message import Message
from shared.pipeline import Pipeline, open_pipeline, whereabouts
from shared.service import ServiceError, unless
from shared.settings import Settings

log = Log("producer")

_MOST_AT_ONCE = 64


def prepare(settings: Settings) -> None:
    """Look at the source.

    :raises ServiceError: when it takes no share, and there is more than one.
    """
    if not _takes(1) and not _takes(2):
        raise ServiceError("producer/source.py: write `async def messages(pipeline)`, or (pipeline, share)")
    if settings.shares > 1 and not _takes(2):
        raise ServiceError(
            f"PIPELINE_SHARES={settings.shares}: each share would be the whole source: write `async def messages(pipeline, "
            "share: Share)` in producer/source.py, with Share from producer/share.py, and yield that share"
        )


def _takes(count: int) -> bool:
    try:
        inspect.signature(source.messages).bind(*range(count))
    except TypeError:
        return False
    return True


def _messages(pipeline: Pipeline, share: Share) -> AsyncGenerator[Message, None]:
    messages: Callable[..., Any] = source.messages
    found: AsyncGenerator[Message, None] = messages(pipeline, share) if _takes(2) else messages(pipeline)
    return found


async def work(settings: Settings, stopping: asyncio.Event) -> None:
    """Put all that the source yields, until `stopping`; then finish the put in progress, or withdraw it.

    The resources of shared/resources.py are opened only if the source has `uses_resources = True`.
    """
    async with AsyncExitStack() as stack:
        async with unless(stopping):
            resources = bool(getattr(source, "uses_resources", False))
            pipeline = await stack.enter_async_context(open_pipeline(settings, resources=resources))
        await stack.enter_async_context(watched("producer", pipeline, stopping))
        standing_by = asyncio.Event()
        producing = asyncio.create_task(_produce(pipeline, stopping, standing_by))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({producing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not standing_by.is_set():
            await asyncio.wait({producing}, timeout=settings.grace)
        stopped.cancel()
        if not producing.done():
            producing.cancel()
        try:
            await producing
        except asyncio.CancelledError as error:
            if standing_by.is_set():
                log.info("the producer is stopped: it had no share")
            else:
                log.warning("the queue stayed full for the grace time: the last put is withdrawn", detail=str(error))


async def _produce(pipeline: Pipeline, stopping: asyncio.Event, standing_by: asyncio.Event) -> None:
    """Put one share after the other. `standing_by` is set while others put all that are left."""
    settings = pipeline.settings
    log.info("producing", queue=settings.queue, maxsize=settings.maxsize, **whereabouts(pipeline))
    tally = Tally()
    claims = Claims(pipeline)
    standing_by.set()
    await claims.begin()
    while not stopping.is_set():
        async with claims.next() as claim:
            if claim is None:
                break
            standing_by.clear()
            await _put_share(pipeline, claim, tally, stopping)
        standing_by.set()
    log.info(
        "the producer is stopped" if stopping.is_set() else "all messages are put",
        messages=tally.put, seconds=round(monotonic() - tally.started_at, 2), waited_seconds=round(tally.waited, 2),
    )  # fmt: skip


class Tally:
    """What one producer has put so far."""

    def __init__(self) -> None:
        """Begin now."""
        self.started_at = monotonic()
        self.put = 0
        self.waited = 0.0


async def _put_share(pipeline: Pipeline, claim: Claim, tally: Tally, stopping: asyncio.Event) -> None:
    rate = pipeline.settings.rate
    async with aclosing(_batches(pipeline, claim.share)) as batches:
        async for batch in batches:
            if not await claim.is_ours():
                log.warning("another producer has the share by now: it is left to that one", share=claim.share.index)
                return
            put_at = monotonic()
            await pipeline.queue.put_many(batch)
            tally.put += len(batch)
            tally.waited += monotonic() - put_at
            if stopping.is_set():
                return
            if rate:
                await _pace(tally.started_at + tally.put / rate, stopping)
    await claim.finish()


async def _pace(until: float, stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(max(0.0, until - monotonic())):
            await stopping.wait()
    except TimeoutError:
        pass


async def _batches(pipeline: Pipeline, share: Share) -> AsyncGenerator[list[Message], None]:
    """Messages as they travel together."""
    rate = pipeline.settings.rate
    most = _MOST_AT_ONCE if not rate else max(1, min(_MOST_AT_ONCE, int(rate / 20)))
    batch: list[Message] = []
    async with aclosing(_messages(pipeline, share)) as found:
        async for message in found:
            batch.append(message)
            if len(batch) >= most:
                yield batch
                batch = []
    if batch:
        yield batch
