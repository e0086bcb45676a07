"""ardiq (its core is in Rust): an async task that validates its message, 100 at once; it always stores a result."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from ardiq import Ardiq  # type: ignore[import-not-found,unused-ignore]
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
    app = Ardiq(redis_url=url, concurrency=100)

    async def task(i: int, ts: float, body: dict[str, Any]) -> None:
        found = Task(i=i, ts=ts, **body)
        hook(found.i, found.ts)

    return app, app.task(task)


async def open(url: str) -> Any:  # noqa: A001
    """Connect."""
    return _app(url, lambda i, ts: None)  # noqa: ARG005


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one task."""
    await c[1].enqueue(i, ts, body)


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put tasks with its bulk call."""
    app, task = c
    batch = []
    for message in messages:
        batch.append(task.prepare(*message))
        if len(batch) == 1000:
            await app.enqueue_many(batch)
            batch = []
    if batch:
        await app.enqueue_many(batch)


def work(url: str, hook: Callable[[int, float], None]) -> None:
    """Run its worker."""
    app, _ = _app(url, hook)
    asyncio.run(app.run())
