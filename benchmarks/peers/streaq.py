"""streaq: an async task, 100 at once, on uvloop; its streams give the tasks of a dead worker to another one.

Its fastest usual configuration for no-op async jobs: no log lines, its default pickle. Results are kept only for the
workload that needs them. It has one priority unless it is told of more.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from pydantic import BaseModel
from streaq import Worker  # type: ignore[import-not-found,unused-ignore]

_PATIENCE = 60


class Task(BaseModel):
    """The message, the same for every contestant."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


def _app(url: str, hook: Callable[[int, float], None], *, results: bool = False, quiet: str = "") -> Any:
    worker = Worker(
        redis_url=url,
        # Who waits for a result keeps a connection, and needs another one: of its 100 none would be left.
        redis_kwargs={"max_connections": 300} if results else None,
        concurrency=100,
        priorities=["low", "high"] if quiet else None,
        anyio_kwargs={"use_uvloop": True},
    )

    async def task(message: dict[str, object]) -> int:
        item = Task.model_validate(message)
        hook(item.i, item.ts)
        return item.i

    return worker, worker.task(name="task", ttl=60 if results else 0, silent=True)(task)


async def open(url: str, *, results: bool = False, quiet: str = "") -> Any:  # noqa: A001
    """Connect. `quiet`: the last task of a bulk put has a higher priority than the others."""
    worker, task = _app(url, lambda i, ts: None, results=results, quiet=quiet)  # noqa: ARG005
    await worker.__aenter__()
    return worker, task, bool(quiet)


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one task."""
    await c[1].enqueue({"i": i, "ts": ts, **body})


async def submit(c: Any, i: int, ts: float, body: dict[str, object]) -> object:
    """Put one task, and wait for its result, with its own call for that: it subscribes to a channel."""
    task = await c[1].enqueue({"i": i, "ts": ts, **body})
    return (await task.result(timeout=_PATIENCE)).result


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put tasks with its bulk call, 1000 at once."""
    worker, task, is_quiet = c
    *flood, (i, ts, body) = messages
    tasks = (task.enqueue({"i": i, "ts": ts, **body}) for i, ts, body in flood)
    while batch := list(islice(tasks, 1000)):
        await worker.enqueue_many(batch)
    last = task.enqueue({"i": i, "ts": ts, **body})
    await worker.enqueue_many([last.start(priority="high") if is_quiet else last])


def work(url: str, hook: Callable[[int, float], None], *, results: bool = False, quiet: str = "") -> None:
    """Run its worker."""
    _app(url, hook, results=results, quiet=quiet)[0].run_sync()
