"""celery with its Redis broker: acks_late, no rate limits, no gossip, mingle or heartbeat.

It has no async jobs. Its fastest usual configuration for no-op jobs in one process: 100 threads (the solo pool is as
fast). Its Redis result backend is used only for the workload that needs results.
"""

from collections.abc import Callable, Iterable
from typing import Any

from celery import Celery  # type: ignore[import-not-found,unused-ignore]
from pydantic import BaseModel

from benchmarks.threads import in_thread


class Task(BaseModel):
    """The message, the same for every contestant."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


def _app(url: str, hook: Callable[[int, float], None], *, results: bool = False) -> Any:
    app = Celery("bench", broker=url, **({"backend": url} if results else {}))
    app.conf.update(task_acks_late=True, task_ignore_result=not results, worker_disable_rate_limits=True)

    def task(message: dict[str, object]) -> int:
        item = Task.model_validate(message)
        hook(item.i, item.ts)
        return item.i

    return app, app.task(task, name="task")


async def open(url: str, *, results: bool = False, quiet: str = "") -> Any:  # noqa: A001
    """Connect: or it would connect, and import its transport, with the first task.

    `quiet`: the last task of a bulk put has the highest priority, 0; the others have the lowest, 9.
    """
    app, task = _app(url, lambda i, ts: None, results=results)  # noqa: ARG005
    with app.producer_or_acquire() as producer:
        producer.connection.ensure_connection()
    return task, bool(quiet)


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one task, with a client that blocks."""
    c[0].delay({"i": i, "ts": ts, **body})


async def submit(c: Any, i: int, ts: float, body: dict[str, object]) -> object:
    """Put one task, and wait for its result, both in a thread."""
    return await in_thread(lambda: c[0].delay({"i": i, "ts": ts, **body}).get())


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put tasks one after the other: it has no bulk call."""
    task, is_quiet = c
    if not is_quiet:
        for message in messages:
            await put(c, *message)
        return
    *flood, last = messages
    for priority, part in ((9, flood), (0, [last])):
        for i, ts, body in part:
            task.apply_async(({"i": i, "ts": ts, **body},), priority=priority)


def work(url: str, hook: Callable[[int, float], None], *, results: bool = False) -> None:
    """Run its worker."""
    app, _ = _app(url, hook, results=results)
    quiet = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
    app.Worker(pool="threads", concurrency=100, loglevel="ERROR", quiet=True, **quiet).start()
