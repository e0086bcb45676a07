"""YOURS: what happens when - an arq WorkerSettings: cron jobs, and jobs that others defer.

`python -m producer.clock.__main__` runs it as the services run; arq's own command does it too: `arq producer.schedule.WorkerSettings`.
Jobs for the pipeline end in `await context["puts"].put(message, id=context["job_id"])`, which waits while the queue is full
and puts once however often arq begins the job. Messages that were deferred by `pipeline.schedule` need nothing here.
"""

from contextlib import AsyncExitStack
from typing import Any, ClassVar, Final

import structlog
from arq import func
from arq.cron import CronJob
from arq.worker import Function

from producer.clock.cron import TRIES, cron_job, make_up
from producer.clock.puts import JOB_TIMEOUT, Puts, put_message
from shared.clock.deferred import NEVER_MS, PUT_MESSAGE
from shared.clock.jobs import clock_queue, decode, encode, redis_settings
from shared.pipeline import Pipeline, open_pipeline
from shared.settings import load_settings, resolve_clock_url

log = structlog.get_logger("clock")

_settings = load_settings()

# While arq keeps it, the id of a deferred message stands for it.
_KEPT_SECONDS: Final = 3600


async def rewrite_stop_words(context: dict[str, Any]) -> None:
    """Write the next version of the stop words."""
    pipeline: Pipeline = context["pipeline"]
    version = await pipeline.stop_words.rewrite()
    log.info("the stop words are rewritten", version=version)


async def start(context: dict[str, Any]) -> None:
    """Open the pipeline, unless the service has, and see to what was missed and to the first version."""
    if "pipeline" not in context:
        stack = context["stack"] = AsyncExitStack()
        context["pipeline"] = await stack.enter_async_context(open_pipeline(_settings))
        context["puts"] = await stack.enter_async_context(Puts(context["pipeline"]))
    await make_up(context["redis"], _settings.queue, WorkerSettings.cron_jobs)
    await context["pipeline"].stop_words.begin()


async def stop(context: dict[str, Any]) -> None:
    """Close what `start` has opened."""
    if "stack" in context:
        await context["stack"].aclose()


class WorkerSettings:
    """What arq reads: settings by class attribute are its convention."""

    redis_settings = redis_settings(resolve_clock_url(_settings))
    queue_name = clock_queue(_settings.queue)
    functions: ClassVar[list[Function]] = [
        func(put_message, name=PUT_MESSAGE, keep_result=_KEPT_SECONDS, max_tries=TRIES)  # type: ignore[arg-type]
    ]
    cron_jobs: ClassVar[list[CronJob]] = [
        cron_job(_settings.queue, rewrite_stop_words, second=set(range(0, 60, 2))),
    ]
    # A cron job may have a longer `timeout=`; all that a killed clock had begun is then taken up that much later.
    job_timeout = JOB_TIMEOUT
    # Each of them may be a put that waits for room.
    max_jobs = 100
    # However long no clock ran, what was to be done is done.
    expires_extra_ms = NEVER_MS
    # Whole seconds that a job may take to end once the worker is told to.
    job_completion_wait = round(_settings.grace)
    on_startup = start
    on_shutdown = stop
    job_serializer = encode
    job_deserializer = decode
