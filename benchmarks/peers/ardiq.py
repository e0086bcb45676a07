"""ardiq (its core is in Rust): an async task that validates its message, 100 at once; it always stores a result.

Its priorities are strict: the highest lane first. It has one lane unless it is told of more.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from ardiq import Ardiq  # type: ignore[import-not-found,unused-ignore]
from pydantic import BaseModel

_LANES = ["low", "high"]
_PATIENCE = 60.0


class Task(BaseModel):
    """The message, the same for every contestant."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


def _app(url: str, hook: Callable[[int, float], None], quiet: str = "") -> Any:
    app = Ardiq(redis_url=url, concurrency=100, priorities=_LANES if quiet else None)

    async def task(i: int, ts: float, body: dict[str, Any]) -> int:
        found = Task(i=i, ts=ts, **body)
        hook(found.i, found.ts)
        return found.i

    return app, app.task(task)


async def open(url: str, *, results: bool = False, quiet: str = "") -> Any:  # noqa: A001, ARG001  # the same to it
    """Connect. `quiet`: the last task of a bulk put goes to a higher lane than the others."""
    app, task = _app(url, lambda i, ts: None, quiet)  # noqa: ARG005
    low, high = (task.options(priority=lane) for lane in _LANES) if quiet else (task, task)
    return app, low, high


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one task."""
    await c[1].enqueue(i, ts, body)


async def submit(c: Any, i: int, ts: float, body: dict[str, object]) -> object:
    """Put one task, and wait for its result, with its own call for that."""
    job = await c[1].enqueue(i, ts, body)
    return (await job.result(timeout=_PATIENCE)).value


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put tasks with its bulk call."""
    app, low, high = c
    *flood, last = messages
    batch = []
    for message in flood:
        batch.append(low.prepare(*message))
        if len(batch) == 1000:
            await app.enqueue_many(batch)
            batch = []
    await app.enqueue_many([*batch, high.prepare(*last)])


def work(url: str, hook: Callable[[int, float], None], *, results: bool = False, quiet: str = "") -> None:  # noqa: ARG001  # the same to it
    """Run its worker."""
    app, _ = _app(url, hook, quiet)
    asyncio.run(app.run())
