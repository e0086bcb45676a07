"""saq: an async job that validates its message, 100 at once, results kept only for the workload that needs them."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel
from saq import Queue, Worker  # type: ignore[import-not-found,unused-ignore]


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
    queue = Queue.from_url(url)
    await queue.connect()
    return queue


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one job."""
    await c.enqueue("task", i=i, ts=ts, body=body, ttl=-1)


async def submit(c: Any, i: int, ts: float, body: dict[str, object]) -> object:
    """Put one job, and wait for its result as saq does by default: it polls every half second."""
    return await c.apply("task", i=i, ts=ts, body=body)


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put jobs one after the other: it has no bulk call."""
    for message in messages:
        await put(c, *message)


def work(url: str, hook: Callable[[int, float], None], *, results: bool = False) -> None:  # noqa: ARG001  # the job decides it
    """Run its worker."""

    async def task(_: Any, *, i: int, ts: float, body: dict[str, Any]) -> int:
        found = Task(i=i, ts=ts, **body)
        hook(found.i, found.ts)
        return found.i

    async def run() -> None:
        await Worker(Queue.from_url(url), functions=[("task", task)], concurrency=100).start()

    asyncio.run(run())
