"""Cron jobs of a pipeline: arq's, each done once for each of its times, and made up for when no clock ran."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, Final

import redis.asyncio
from arq import cron
from arq.cron import CronJob
from redis.exceptions import RedisError

from producer.clock.wall_time import ZonedJob
from shared.clock.jobs import clock_queue

TRIES: Final = 1_000_000_000
"""How often arq may begin a job: again when its clock was killed, and when the job waits for room.

By default arq would fail the job at the second, or the sixth, time.
"""

# The result shows a clock that comes late that the job is done.
_KEPT_SECONDS: Final = 600

# What came due in the last second is not missed.
_SECOND: Final = timedelta(seconds=1)


def cron_job(queue: str, job: Callable[[dict[str, Any]], Awaitable[None]], **when: Any) -> CronJob:
    """Make a cron job as arq's `cron` does, for the pipeline of this queue; `when`: as there, e.g. hour=6, minute=0.

    The times are those of the schedule's `timezone`, or of the process: each once where the hour is named, in every
    hour that passes where it is not, also when the clocks change.
    """
    # The name is part of the job's id: it differs between the pipelines of a server, not between the clocks of one.
    name = f"cron:{queue}:{job.__qualname__}"

    @wraps(job)
    async def done(context: dict[str, Any]) -> None:
        await job(context)
        due = int(context["job_id"].rpartition(":")[2])
        with contextlib.suppress(RedisError, ValueError):  # the next time records that this one is done, too
            await context["redis"].zadd(_done(queue), {name: due}, gt=True)

    options: dict[str, Any] = {"keep_result": _KEPT_SECONDS, "max_tries": TRIES, **when}
    made = cron(done, name=name, **options)  # type: ignore[arg-type]  # any dict is a context
    return ZonedJob.of(made, None)


async def make_up(
    client: "redis.asyncio.Redis", queue: str, jobs: Sequence[CronJob], now: datetime | None = None
) -> None:
    """Let each job whose times passed while no clock ran be done once, for the last of these times."""
    now = now or datetime.now(UTC)
    for job in jobs:
        await client.zadd(_done(queue), {job.name: (now - _SECOND).timestamp() * 1000}, nx=True)
        done_ms: float | None = await client.zscore(_done(queue), job.name)
        # A job's id has its time in whole milliseconds: the time that was done is in that one or the one beside it.
        since = now if done_ms is None else datetime.fromtimestamp((done_ms + 1) / 1000, UTC)
        job.next_run = _last_between(job, since, now) or _next(job, now - _SECOND)


def _done(queue: str) -> str:
    return f"{clock_queue(queue)}:done"


def _last_between(job: CronJob, since: datetime, now: datetime) -> datetime | None:
    # The last hour before the last year: a job of every second has many times.
    for back in (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), now - since):
        at, last = max(since, now - back), None
        while (at := _next(job, at)) <= now:
            last = at
        if last is not None:
            return last
    return None


def _next(job: CronJob, after: datetime) -> datetime:
    job.calculate_next(after)
    if job.next_run is None:
        raise RuntimeError("calculate_next sets it")
    return job.next_run
