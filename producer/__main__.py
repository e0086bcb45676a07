"""The producer service: puts what the source yields, as fast as the queue takes it. `python -m producer`."""

import asyncio
import itertools
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import monotonic

import structlog

from producer.source import messages, source_files
from shared.demo.run_record import Produced, Production
from shared.demo.word_counts import WordCounts
from shared.messages import Message
from shared.pipeline import Pipeline, open_pipeline
from shared.service import ServiceError, run_service
from shared.settings import Settings

log = structlog.get_logger("producer")

_MOST_AT_ONCE = 64


async def work(settings: Settings, stopping: asyncio.Event) -> None:
    """Walk the tree as often as the settings say, until `stopping`; then finish the put in progress, or withdraw it."""
    _check_source(settings)
    async with open_pipeline(settings) as pipeline:
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


def _check_source(settings: Settings) -> None:
    root, files = source_files(settings)
    if not root.is_dir():
        raise ServiceError(f"PIPELINE_SOURCE_PATH: {root} is no directory")
    if not files:
        raise ServiceError(f"no file below {root} matches {settings.source_glob}: see PIPELINE_SOURCE_GLOB")


async def _produce(pipeline: Pipeline, stopping: asyncio.Event) -> None:
    settings = pipeline.settings
    base = settings.run or pipeline.owner
    endless = settings.passes == 0
    log.info("producing", queue=settings.queue, maxsize=settings.maxsize, passes=settings.passes or "again and again")
    for number in itertools.count(1) if endless else range(1, settings.passes + 1):
        run = base if settings.passes == 1 else f"{base}-{number}"
        started_at = monotonic()
        done = await _produce_once(pipeline, run, stopping)
        log.info(
            "the producer is stopped" if stopping.is_set() else "one pass is done",
            run=run, messages=done.messages,
            seconds=round(monotonic() - started_at, 2), waited_seconds=round(done.waited, 2),
        )  # fmt: skip
        if stopping.is_set():
            break
        if endless and number > 2:
            # Nobody will ask for it, and the server's memory is not endless.
            await WordCounts(pipeline.redis, settings.queue, f"{base}-{number - 2}").delete()


async def _produce_once(pipeline: Pipeline, run: str, stopping: asyncio.Event) -> Produced:
    production = Production(pipeline.redis, pipeline.settings.queue, run)
    total = Produced()
    started_at = monotonic()
    async with aclosing(_batches(pipeline.settings, run)) as batches:
        async for batch in batches:
            put_at = monotonic()
            await pipeline.queue.put_many(batch)
            done = Produced(len(batch), monotonic() - put_at)
            await production.add(done)
            total = Produced(total.messages + done.messages, total.waited + done.waited)
            if stopping.is_set():
                break
            if pipeline.settings.rate:
                await _pace(started_at + total.messages / pipeline.settings.rate, stopping)
    return total


async def _pace(until: float, stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(max(0.0, until - monotonic())):
            await stopping.wait()
    except TimeoutError:
        pass


async def _batches(settings: Settings, run: str) -> AsyncGenerator[list[Message], None]:
    """Messages as they travel together."""
    most = _MOST_AT_ONCE if not settings.rate else max(1, min(_MOST_AT_ONCE, int(settings.rate / 20)))
    batch: list[Message] = []
    async with aclosing(messages(settings, run)) as source:
        async for message in source:
            batch.append(message)
            if len(batch) >= most:
                yield batch
                batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    sys.exit(run_service("producer", work))
