"""rq: SimpleWorker, which runs one job at a time in its own process; retries for jobs of a dead worker.

Its fastest usual configuration for no-op async jobs: no fork for each, no long description, no log lines. It runs each
async job with asyncio.run. Results are kept only for the workload that needs them. A worker that names several queues
takes from the first that has a job: such an order is its priority.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from pydantic import BaseModel
from redis import Redis
from rq import Queue, Retry, SimpleWorker  # type: ignore[import-not-found,unused-ignore]

from benchmarks.threads import in_thread

_hooks: list[Callable[[int, float], None]] = []
_OPTIONS: dict[str, Any] = {"result_ttl": 0, "description": "task"}
_KEPT: dict[str, Any] = {**_OPTIONS, "result_ttl": 60}
_PATIENCE = 60


class Task(BaseModel):
    """The message, the same for every contestant."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


async def task(message: dict[str, object]) -> int:
    """Run as a job: the worker finds it by its name."""
    item = Task.model_validate(message)
    _hooks[0](item.i, item.ts)
    return item.i


async def open(url: str, *, results: bool = False, quiet: str = "") -> Any:  # noqa: A001, ARG001  # the job decides it
    """Connect. `quiet`: the last job of a bulk put goes to the queue that comes first."""
    connection = Redis.from_url(url)
    queue = Queue("bench", connection=connection)
    return queue, Queue("first", connection=connection) if quiet else queue


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one job, with a client that blocks."""
    c[0].enqueue(task, {"i": i, "ts": ts, **body}, retry=Retry(max=3), **_OPTIONS)


async def submit(c: Any, i: int, ts: float, body: dict[str, object]) -> object:
    """Put one job, and wait for its result, both in a thread."""

    def wait() -> object:
        job = c[0].enqueue(task, {"i": i, "ts": ts, **body}, retry=Retry(max=3), **_KEPT)
        return job.latest_result(timeout=_PATIENCE).return_value

    return await in_thread(wait)


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put jobs with its bulk call, 1000 at once."""
    retry = Retry(max=3)
    *flood, last = messages
    for queue, part in zip(c, (flood, [last]), strict=True):
        jobs = (
            queue.prepare_data(task, ({"i": i, "ts": ts, **body},), retry=retry, **_OPTIONS) for i, ts, body in part
        )
        while batch := list(islice(jobs, 1000)):
            queue.enqueue_many(batch)


def work(url: str, hook: Callable[[int, float], None], *, results: bool = False, quiet: str = "") -> None:  # noqa: ARG001  # the job decides it
    """Run its worker."""
    _hooks.append(hook)
    connection = Redis.from_url(url)
    SimpleWorker(["first", "bench"] if quiet else ["bench"], connection=connection, log_job_description=False).work(
        logging_level="ERROR"
    )
