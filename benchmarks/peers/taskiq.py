"""taskiq with taskiq-redis: RedisStreamBroker, an async task that its receiver validates, acknowledged after success.

Its fastest usual configuration for no-op async jobs: a result backend only for the workload that needs it, 100 at once,
its own worker function on uvloop.
"""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel
from taskiq.cli.worker.args import WorkerArgs  # type: ignore[import-not-found,unused-ignore]
from taskiq.cli.worker.run import start_listen  # type: ignore[import-not-found,unused-ignore]
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker  # type: ignore[import-not-found,unused-ignore]


class Task(BaseModel):
    """The message, the same for every contestant."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


def _app(url: str, hook: Callable[[int, float], None], *, results: bool = False) -> Any:
    broker = RedisStreamBroker(url)
    if results:
        broker = broker.with_result_backend(RedisAsyncResultBackend(url, result_ex_time=60))

    async def task(task: Task) -> int:
        hook(task.i, task.ts)
        return task.i

    return broker, broker.register_task(task, "task")


async def open(url: str, *, results: bool = False) -> Any:  # noqa: A001
    """Connect, and create the consumer group, which sees what is put from now on."""
    broker, task = _app(url, lambda i, ts: None, results=results)  # noqa: ARG005
    await broker.startup()
    return task


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one task."""
    await c.kiq({"i": i, "ts": ts, **body})


async def submit(c: Any, i: int, ts: float, body: dict[str, object]) -> object:
    """Put one task, and wait for its result as taskiq does by default: it polls every 0.2 s."""
    task = await c.kiq({"i": i, "ts": ts, **body})
    found = await task.wait_result()
    return found.return_value


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put tasks one after the other: it has no bulk call."""
    for message in messages:
        await put(c, *message)


def work(url: str, hook: Callable[[int, float], None], *, results: bool = False) -> None:
    """Run its worker."""
    broker, _ = _app(url, hook, results=results)
    start_listen(WorkerArgs(broker=broker, modules=[], configure_logging=False, max_async_tasks=100))
