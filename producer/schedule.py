"""YOURS: what happens when - an arq WorkerSettings: cron jobs, and jobs that others defer.

`python -m producer.clock` runs it as the services run; arq's own command does it too: `arq
producer.schedule.WorkerSettings`. Jobs for the pipeline end in `await context["puts"].put(message,
id=context["job_id"])`, which waits while the queue is full and puts once however often arq begins the job. Messages
that were deferred by `pipeline.schedule` need nothing here.
"""

from typing import Any, ClassVar

from arq.cron import CronJob

from producer.clock.cron import cron_job
from producer.clock.schedule import Schedule
from shared.logs import Log
from shared.pipeline import Pipeline
from shared.settings import Settings

log = Log("clock")

_settings = Settings.load()


async def rewrite_stop_words(context: dict[str, Any]) -> None:
    """Write the next version of the stop words."""
    pipeline: Pipeline = context["pipeline"]
    version = await pipeline.resources.stop_words.rewrite()
    log.debug("the stop words are rewritten", version=version)


class WorkerSettings(Schedule):
    """What arq reads: settings by class attribute are its convention."""

    uses_resources = True
    cron_jobs: ClassVar[list[CronJob]] = [
        cron_job(_settings.queue, rewrite_stop_words, second=set(range(0, 60, 2))),
    ]
