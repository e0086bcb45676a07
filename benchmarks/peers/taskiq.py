"""taskiq with taskiq-redis: RedisStreamBroker, an async task that its receiver validates, acknowledged after success.

Its fastest usual configuration for no-op async jobs: no result backend, 100 at once, its own worker function on uvloop.
"""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel
from taskiq.cli.worker.args import WorkerArgs  # type: ignore[import-not-found,unused-ignore]
from taskiq.cli.worker.run import start_listen  # type: ignore[import-not-found,unused-ignore]
from taskiq_redis import RedisStreamBroker  # type: ignore[import-not-found,unused-ignore]


class Task(BaseModel):
    """The message: what every contestant carries."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


def _app(url: str, hook: Callable[[int, float], None]) -> Any:
    broker = RedisStreamBroker(url)

    async def task(task: Task) -> None:
        hook(task.i, task.ts)

    return broker, broker.register_task(task, "task")


async def open(url: str) -> Any:  # noqa: A001
    """Connect, and make the consumer group, which sees what is put from now on."""
    broker, task = _app(url, lambda i, ts: None)  # noqa: ARG005
    await broker.startup()
    return task


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one task."""
    await c.kiq({"i": i, "ts": ts, **body})


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put tasks one after the other: it has no bulk call."""
    for message in messages:
        await put(c, *message)


def work(url: str, hook: Callable[[int, float], None]) -> None:
    """Run its worker."""
    broker, _ = _app(url, hook)
    start_listen(WorkerArgs(broker=broker, modules=[], configure_logging=False, max_async_tasks=100))
