"""YOURS: what happens when - an arq WorkerSettings: cron jobs, and jobs that others defer.

`python -m producer.clock` runs it as the services run; arq's own command does it too: `arq producer.schedule.WorkerSettings`.
Jobs for the pipeline end in `await pipeline.queue.put(...)`, which waits while the queue is full.
"""

import json
from contextlib import AsyncExitStack
from typing import Any, ClassVar

import structlog
from arq import cron
from arq.connections import RedisSettings
from arq.cron import CronJob

from shared.pipeline import Pipeline, open_pipeline
from shared.settings import load_settings, resolve_redis_url

log = structlog.get_logger("clock")

_settings = load_settings()

# The result is what tells a clock that comes late that a job was done.
_KEPT_SECONDS = 600


async def rewrite_stop_words(context: dict[str, Any]) -> None:
    """Write the next version of the stop words."""
    pipeline: Pipeline = context["pipeline"]
    version = await pipeline.stop_words.rewrite()
    log.info("the stop words are rewritten", version=version)


async def start(context: dict[str, Any]) -> None:
    """Open the pipeline, unless the service has, and see to the first version."""
    if "pipeline" not in context:
        stack = context["stack"] = AsyncExitStack()
        context["pipeline"] = await stack.enter_async_context(open_pipeline(_settings))
    await context["pipeline"].stop_words.begin()


async def stop(context: dict[str, Any]) -> None:
    """Close what `start` has opened."""
    if "stack" in context:
        await context["stack"].aclose()


def encode(job: dict[str, Any]) -> bytes:
    """JSON, for arq would write pickles; the exception of a job that failed is written as text."""
    return json.dumps(job, default=_text).encode()


def _text(value: object) -> str:
    if isinstance(value, BaseException):
        return repr(value)
    raise TypeError(f"a job's arguments and its result are what JSON can hold, not {type(value).__name__}")


def decode(stored: bytes) -> dict[str, Any]:
    """JSON; a pickle is refused with a ValueError, and never loaded."""
    try:
        job: dict[str, Any] = json.loads(stored)
    except ValueError:
        raise ValueError(
            "no JSON: put jobs with job_serializer=producer.schedule.encode; a pickle is not loaded"
        ) from None
    return job


class WorkerSettings:
    """What arq reads: settings by class attribute are its convention."""

    redis_settings = RedisSettings.from_dsn(resolve_redis_url(_settings))
    queue_name = f"{{{_settings.queue}}}:clock"
    # The name is the job's id, and so keeps pipelines on one server apart, and several clocks of one pipeline together.
    cron_jobs: ClassVar[list[CronJob]] = [
        cron(
            rewrite_stop_words,  # type: ignore[arg-type]  # any dict is a context
            name=f"cron:{_settings.queue}:rewrite_stop_words",
            second=set(range(0, 60, 2)),
            keep_result=_KEPT_SECONDS,
        )
    ]
    # Whole seconds that a job may take to end once the worker is told to.
    job_completion_wait = round(_settings.grace)
    on_startup = start
    on_shutdown = stop
    job_serializer = encode
    job_deserializer = decode
