"""dramatiq on Redis: an async actor with the AsyncIO middleware beside its default ones, acknowledged after success.

Its fastest usual configuration for no-op async jobs: no results, 16 worker threads, each of which waits for one job of
the event loop. With 100 threads it is slower, and redis-py's pool has no more than 100 connections. Its polling is the
default.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import dramatiq  # type: ignore[import-not-found,unused-ignore]
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found,unused-ignore]
from dramatiq.middleware.asyncio import AsyncIO  # type: ignore[import-not-found,unused-ignore]
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
    broker = RedisBroker(url=url)
    broker.add_middleware(AsyncIO())

    async def task(message: dict[str, object]) -> None:
        item = Task.model_validate(message)
        hook(item.i, item.ts)

    low = dramatiq.actor(task, broker=broker, priority=10)
    return broker, low, dramatiq.actor(task, broker=broker, actor_name="first", priority=0)


async def open(url: str, *, quiet: str = "") -> Any:  # noqa: A001
    """Connect. `quiet`: the last task of a bulk put goes to an actor of a higher priority, a smaller number."""
    app = _app(url, lambda i, ts: None)  # noqa: ARG005
    return (app[1], app[2]) if quiet else (app[1], app[1])


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one message, with a client that blocks."""
    c[0].send({"i": i, "ts": ts, **body})


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put messages one after the other: it has no bulk call."""
    *flood, (i, ts, body) = messages
    for message in flood:
        await put(c, *message)
    c[1].send({"i": i, "ts": ts, **body})


def work(url: str, hook: Callable[[int, float], None]) -> None:
    """Run its worker."""
    broker, *_ = _app(url, hook)
    dramatiq.Worker(broker, worker_threads=16).start()
    threading.Event().wait()
