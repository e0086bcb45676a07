"""Schedule: the part of an arq WorkerSettings that is the same for every pipeline."""

from contextlib import AsyncExitStack
from datetime import UTC, tzinfo
from typing import Any, ClassVar, Final

from arq import func
from arq.connections import RedisSettings
from arq.cron import CronJob
from arq.worker import Function

from producer.clock.cron import TRIES, make_up
from producer.clock.puts import JOB_TIMEOUT, Puts, put_message
from producer.clock.wall_time import ZonedJob
from shared.clock.arq_settings import redis_settings
from shared.clock.deferred import NEVER_MS, PUT_MESSAGE
from shared.clock.jobs import clock_queue, decode, encode
from shared.environment import resolve_clock_url
from shared.password_file import clock_password_of
from shared.pipeline import open_pipeline
from shared.settings import Settings

# While arq keeps it, the id of a deferred message stands for it.
_KEPT_SECONDS: Final = 3600


class Schedule:
    """The base of `WorkerSettings` in producer/schedule.py: a subclass names its cron jobs, and what else differs.

    A subclass reads the environment when it is defined, as arq's command does. A job gets a dictionary: `pipeline` is
    the Pipeline, `puts` the Puts of the clock, and `job_id` the id of the job.
    """

    cron_jobs: ClassVar[list[CronJob]] = []
    uses_resources: ClassVar[bool] = False
    """Whether its jobs use `pipeline.resources`. The clock opens them only then."""
    functions: ClassVar[list[Function]] = [
        func(put_message, name=PUT_MESSAGE, keep_result=_KEPT_SECONDS, max_tries=TRIES)  # type: ignore[arg-type]
    ]
    redis_settings: ClassVar[RedisSettings]
    queue_name: ClassVar[str]
    timezone: ClassVar[tzinfo | None] = None
    """Of the times of `cron_jobs`, as `ZoneInfo("Asia/Tokyo")`; None: that of the process. Then it is UTC, for arq."""
    job_completion_wait: ClassVar[int]
    """Whole seconds that a job may take to end once the worker stops."""
    # A cron job may have a longer `timeout=`; the jobs of a killed clock are then repeated that much later.
    job_timeout = JOB_TIMEOUT
    # Each of them may be a put that waits for room.
    max_jobs = 100
    # A job is done however long no clock ran.
    expires_extra_ms = NEVER_MS
    job_serializer = encode
    job_deserializer = decode

    def __init_subclass__(cls) -> None:
        """Set what the subclass has not set itself: arq reads the attributes of the class, not those of its bases."""
        settings = Settings.load()
        defaults: dict[str, Any] = {
            **{name: value for name, value in vars(Schedule).items() if not name.startswith("_")},
            "redis_settings": redis_settings(resolve_clock_url(settings), clock_password_of(settings)),
            "queue_name": clock_queue(settings.queue),
            "job_completion_wait": round(settings.grace),
            "on_startup": _starting(cls, settings),
            "on_shutdown": _stop,
        }
        for name, value in defaults.items():
            if name not in vars(cls):
                setattr(cls, name, value)
        cls.cron_jobs = [ZonedJob.of(job, cls.timezone) for job in cls.cron_jobs]
        # arq compares and adds times within its zone, which is wrong by an hour when the clocks change.
        cls.timezone = UTC


def _starting(schedule: type[Schedule], settings: Settings) -> Any:
    async def start(context: dict[str, Any]) -> None:
        """Open the pipeline, unless the service has, and make up for missed times."""
        if "pipeline" not in context:
            stack = context["stack"] = AsyncExitStack()
            context["pipeline"] = await stack.enter_async_context(
                open_pipeline(settings, resources=schedule.uses_resources)
            )
            context["puts"] = await stack.enter_async_context(Puts(context["pipeline"]))
        await make_up(context["redis"], settings.queue, schedule.cron_jobs)

    return start


async def _stop(context: dict[str, Any]) -> None:
    """Close what `start` has opened."""
    if "stack" in context:
        await context["stack"].aclose()
