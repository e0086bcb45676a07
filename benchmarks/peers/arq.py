"""arq: an async job that validates its message, 100 at once, results kept only for the workload that needs them.

It polls every half second, its default.
"""

from collections.abc import Callable, Iterable
from typing import Any

from arq import create_pool  # type: ignore[import-not-found,unused-ignore]
from arq.connections import RedisSettings  # type: ignore[import-not-found,unused-ignore]
from arq.worker import Worker, func  # type: ignore[import-not-found,unused-ignore]
from pydantic import BaseModel


class Task(BaseModel):
    """The message, the same for every contestant."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


async def open(url: str, *, results: bool = False) -> Any:  # noqa: A001, ARG001  # the same to it
    """Connect."""
    return await create_pool(RedisSettings.from_dsn(url))


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one job."""
    await c.enqueue_job("task", i, ts, body)


async def submit(c: Any, i: int, ts: float, body: dict[str, object]) -> object:
    """Put one job, and wait for its result as arq does by default: it polls every half second."""
    job = await c.enqueue_job("task", i, ts, body)
    return await job.result()


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put jobs one after the other: it has no bulk call."""
    for message in messages:
        await put(c, *message)


def work(url: str, hook: Callable[[int, float], None], *, results: bool = False) -> None:
    """Run its worker."""

    async def task(_: Any, i: int, ts: float, body: dict[str, Any]) -> int:
        found = Task(i=i, ts=ts, **body)
        hook(found.i, found.ts)
        return found.i

    functions = [
        func(
            task,  # type: ignore[arg-type, unused-ignore]
            name="task",
            keep_result=60 if results else 0,
        )
    ]
    Worker(functions, redis_settings=RedisSettings.from_dsn(url), max_jobs=100, burst=False).run()
