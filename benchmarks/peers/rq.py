"""rq: SimpleWorker, which runs one job at a time in its own process; no results, retries for jobs of a dead worker.

Its fastest usual configuration for no-op async jobs: no fork for each, no long description, no log lines. It runs each
async job with asyncio.run.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from pydantic import BaseModel
from redis import Redis
from rq import Queue, Retry, SimpleWorker  # type: ignore[import-not-found,unused-ignore]

_hooks: list[Callable[[int, float], None]] = []
_OPTIONS: dict[str, Any] = {"result_ttl": 0, "description": "task"}


class Task(BaseModel):
    """The message, the same for every contestant."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


async def task(message: dict[str, object]) -> None:
    """Run as a job: the worker finds it by its name."""
    item = Task.model_validate(message)
    _hooks[0](item.i, item.ts)


async def open(url: str) -> Any:  # noqa: A001
    """Connect."""
    return Queue("bench", connection=Redis.from_url(url))


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one job, with a client that blocks."""
    c.enqueue(task, {"i": i, "ts": ts, **body}, retry=Retry(max=3), **_OPTIONS)


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put jobs with its bulk call, 1000 at once."""
    retry = Retry(max=3)
    jobs = (c.prepare_data(task, ({"i": i, "ts": ts, **body},), retry=retry, **_OPTIONS) for i, ts, body in messages)
    while batch := list(islice(jobs, 1000)):
        c.enqueue_many(batch)


def work(url: str, hook: Callable[[int, float], None]) -> None:
    """Run its worker."""
    _hooks.append(hook)
    connection = Redis.from_url(url)
    SimpleWorker(["bench"], connection=connection, log_job_description=False).work(logging_level="ERROR")
