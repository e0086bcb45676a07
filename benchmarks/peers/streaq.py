"""streaq: an async task, 100 at once, on uvloop; its streams give the tasks of a dead worker to another one.

Its fastest usual configuration for no-op async jobs: no results, no log lines, its default pickle.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from pydantic import BaseModel
from streaq import Worker  # type: ignore[import-not-found,unused-ignore]


class Task(BaseModel):
    """The message, the same for every contestant."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


def _app(url: str, hook: Callable[[int, float], None]) -> Any:
    worker = Worker(redis_url=url, concurrency=100, anyio_kwargs={"use_uvloop": True})

    async def task(message: dict[str, object]) -> None:
        item = Task.model_validate(message)
        hook(item.i, item.ts)

    return worker, worker.task(name="task", ttl=0, silent=True)(task)


async def open(url: str) -> Any:  # noqa: A001
    """Connect."""
    worker, task = _app(url, lambda i, ts: None)  # noqa: ARG005
    await worker.__aenter__()
    return worker, task


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one task."""
    await c[1].enqueue({"i": i, "ts": ts, **body})


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put tasks with its bulk call, 1000 at once."""
    worker, task = c
    tasks = (task.enqueue({"i": i, "ts": ts, **body}) for i, ts, body in messages)
    while batch := list(islice(tasks, 1000)):
        await worker.enqueue_many(batch)


def work(url: str, hook: Callable[[int, float], None]) -> None:
    """Run its worker."""
    _app(url, hook)[0].run_sync()
