"""The clock: a service that runs the schedule. `python -m producer.clock` runs it."""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any

from arq.connections import ArqRedis
from arq.worker import Worker, create_worker
from redis.exceptions import RedisError

from producer.clock.arq_log import as_ours
from producer.clock.puts import Puts
from producer.clock.wall_time import ScheduleError
from shared.clock.deferred import NEVER_MS
from shared.clock.jobs import clock_queue, decode, encode
from shared.concurrency.session.futures import retrieve
from shared.concurrency.session.outage import Outage
from shared.health.watched import watched
from shared.logs import Log
from shared.pipeline import Pipeline, deferred_of, open_pipeline, whereabouts
from shared.service import ServiceError, unless
from shared.settings import Settings

log = Log("clock")

_PAUSE = 1.0


def prepare(_: Settings) -> None:
    """Import the schedule; not before the settings are known to be right, for it reads them, too.

    :raises ServiceError: when it asks for what the clock does not do.
    """
    try:
        import producer.schedule  # noqa: F401, PLC0415
    except ScheduleError as error:
        raise ServiceError(str(error)) from error


async def work(settings: Settings, stopping: asyncio.Event) -> None:
    """Run the schedule until `stopping`; wait through outages of the server.

    The resources of shared/resources.py are opened only if the schedule uses them.
    """
    from producer.schedule import WorkerSettings  # noqa: PLC0415  # as in `prepare`

    stopped = asyncio.create_task(stopping.wait())
    resources = WorkerSettings.uses_resources
    async with AsyncExitStack() as stack:
        async with unless(stopping):
            pipeline = await stack.enter_async_context(open_pipeline(settings, resources=resources))
        await stack.enter_async_context(watched("clock", pipeline, stopping))
        puts = await stack.enter_async_context(Puts(pipeline))
        logging.getLogger("arq.worker").addFilter(as_ours)
        jobs = [job.name for job in WorkerSettings.cron_jobs]
        log.info("the clock runs", queue=settings.queue, jobs=jobs, **whereabouts(pipeline))
        outage = Outage(log, "the clock lost the server and begins again", "the clock goes on")
        while not stopping.is_set():
            if outage.seconds and not await _is_back(_client(pipeline), outage):
                await asyncio.wait({stopped}, timeout=_PAUSE)
                continue
            context = {"pipeline": pipeline, "puts": puts}
            worker = create_worker(
                WorkerSettings,  # type: ignore[arg-type]
                handle_signals=False,
                ctx=context,
                redis_pool=_client(pipeline),
            )
            await _run(worker, stopped, settings.grace, outage)
        log.info("the clock is stopped")


def _client(pipeline: Pipeline) -> ArqRedis:
    """Return arq's client on the service's own connections; arq's would not be counted, and wait for ever."""
    return ArqRedis(
        deferred_of(pipeline).pool,
        job_serializer=encode,
        job_deserializer=decode,
        default_queue_name=clock_queue(pipeline.settings.queue),
        expires_extra_ms=NEVER_MS,
    )


async def _is_back(client: ArqRedis, outage: Outage) -> bool:
    """Whether the server answers again: no worker begins before, for each would log its end."""
    try:
        async with asyncio.timeout(_PAUSE):
            await client.ping()
    except (RedisError, OSError) as error:  # a TimeoutError is an OSError
        outage.goes_on(str(error) or "the server does not answer")
        return False
    outage.is_over()
    return True


async def _run(worker: Worker, stopped: "asyncio.Task[Any]", grace: float, outage: Outage) -> None:
    """Run the worker until `stopped`, then let its jobs end; or until the server is lost."""
    worker.ctx["puts"].is_ending = False
    running = asyncio.create_task(worker.async_run())
    running.add_done_callback(retrieve)
    try:
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        worker.allow_pick_jobs = False
        await _ended(worker, grace)
    except (RedisError, OSError) as error:
        outage.goes_on(str(error))
        await asyncio.wait({stopped}, timeout=_PAUSE)
    finally:
        running.cancel()
        await asyncio.wait({running})
        await _close(worker)


async def _ended(worker: Worker, seconds: float | None) -> None:
    if worker.tasks:
        await asyncio.wait(worker.tasks.values(), timeout=seconds)


async def _close(worker: Worker) -> None:
    """Cancel the jobs that still run, and close the connections. Another clock, or this one later, repeats the jobs."""
    worker.ctx["puts"].is_ending = True
    for job in worker.tasks.values():
        job.cancel()
    await _ended(worker, None)
    worker.tasks.clear()  # or `close` would raise their cancellation
    try:
        await worker.close()
    except (RedisError, OSError):
        await worker.pool.aclose(close_connection_pool=True)
