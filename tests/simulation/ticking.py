"""Ticking: the service of the clock in a world, without cron jobs."""

import asyncio
import contextlib

from arq.worker import Worker

from producer.clock.puts import JOB_TIMEOUT, Puts
from producer.clock.schedule import Schedule
from producer.clock.service import _client, _is_back, _run
from shared.clock.deferred import NEVER_MS, Deferred
from shared.clock.jobs import clock_queue, decode, encode
from shared.concurrency import Session
from shared.concurrency.session.outage import Outage
from shared.logs import Log
from shared.pipeline import Pipeline
from shared.queues import Queues
from shared.settings import Settings
from tests.simulation.clients import client
from tests.simulation.resting import Resting

_GRACE = 5.0


async def tick(workload: Resting, session: Session, settings: Settings) -> None:
    """Put what is due until the workload closes."""
    async with contextlib.aclosing(client()) as redis:
        queues = Queues(session, settings)
        deferred = Deferred(redis, settings.queue, settings.max_message_bytes)
        pipeline = Pipeline(settings, session, queues[settings.queue], queues, redis, deferred)
        stopped = asyncio.create_task(workload.closing())
        async with Puts(pipeline) as puts:
            outage = Outage(Log("clock"), "away", "back")
            while not workload.is_closing:
                if outage.seconds and not await _is_back(_client(pipeline), outage):
                    await asyncio.wait({stopped}, timeout=1)
                    continue
                await _run(_worker(pipeline, puts), stopped, _GRACE, outage)


def _worker(pipeline: Pipeline, puts: Puts) -> Worker:
    return Worker(
        Schedule.functions,
        queue_name=clock_queue(pipeline.settings.queue),
        redis_pool=_client(pipeline),
        handle_signals=False,
        job_timeout=JOB_TIMEOUT,
        max_jobs=Schedule.max_jobs,
        expires_extra_ms=NEVER_MS,
        job_serializer=encode,
        job_deserializer=decode,
        ctx={"pipeline": pipeline, "puts": puts},
    )
