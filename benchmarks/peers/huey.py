"""huey: RedisHuey with thread workers, no results. It pops before it runs: the job of a dead worker is lost.

So a job runs at most once. It has no async jobs. Its fastest usual configuration for no-op jobs in one process: 8
threads. With 100 it is slower, and redis-py's pool has no more than 100 connections. Its polling is the default: a
blocking pop.
"""

from collections.abc import Callable, Iterable
from typing import Any

from huey import RedisHuey  # type: ignore[import-not-found,unused-ignore]
from pydantic import BaseModel


class Task(BaseModel):
    """The message, the same for every contestant."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


def _app(url: str, hook: Callable[[int, float], None]) -> Any:
    app = RedisHuey("bench", url=url, results=False)

    def task(message: dict[str, object]) -> None:
        item = Task.model_validate(message)
        hook(item.i, item.ts)

    return app, app.task(name="task")(task)


async def open(url: str) -> Any:  # noqa: A001
    """Connect."""
    return _app(url, lambda i, ts: None)[1]  # noqa: ARG005


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one task, with a client that blocks."""
    c({"i": i, "ts": ts, **body})


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put tasks one after the other: it has no bulk call."""
    for message in messages:
        await put(c, *message)


def work(url: str, hook: Callable[[int, float], None]) -> None:
    """Run its worker."""
    app, _ = _app(url, hook)
    app.create_consumer(workers=8, periodic=False).run()
