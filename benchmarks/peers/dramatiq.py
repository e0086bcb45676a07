"""dramatiq on Redis: an async actor with the AsyncIO middleware beside its default ones, acknowledged after success.

Its fastest usual configuration for no-op async jobs: 16 worker threads, each of which waits for one job of
the event loop. With 100 threads it is slower, and redis-py's pool has no more than 100 connections. Its polling is the
default. Results are kept only for the workload that needs them.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import dramatiq  # type: ignore[import-not-found,unused-ignore]
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found,unused-ignore]
from dramatiq.middleware.asyncio import AsyncIO  # type: ignore[import-not-found,unused-ignore]
from dramatiq.results import Results  # type: ignore[import-not-found,unused-ignore]
from dramatiq.results.backends import RedisBackend  # type: ignore[import-not-found,unused-ignore]
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
    broker = RedisBroker(url=url)
    broker.add_middleware(AsyncIO())
    if results:
        broker.add_middleware(Results(backend=RedisBackend(url=url), store_results=True))

    async def task(message: dict[str, object]) -> int | None:
        item = Task.model_validate(message)
        hook(item.i, item.ts)
        return item.i if results else None

    low = dramatiq.actor(task, broker=broker, priority=10)
    return broker, low, dramatiq.actor(task, broker=broker, actor_name="first", priority=0)


async def open(url: str, *, results: bool = False, quiet: str = "") -> Any:  # noqa: A001
    """Connect. `quiet`: the last task of a bulk put goes to an actor of a higher priority, a smaller number."""
    broker, low, first = _app(url, lambda i, ts: None, results=results)  # noqa: ARG005
    return low, first if quiet else low, broker


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one message, with a client that blocks."""
    c[0].send({"i": i, "ts": ts, **body})


async def submit(c: Any, i: int, ts: float, body: dict[str, object]) -> object:
    """Put one message, and wait for its result, both in a thread."""
    backend = c[2].get_results_backend()
    return await in_thread(lambda: c[0].send({"i": i, "ts": ts, **body}).get_result(backend=backend, block=True))


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put messages one after the other: it has no bulk call."""
    *flood, (i, ts, body) = messages
    for message in flood:
        await put(c, *message)
    c[1].send({"i": i, "ts": ts, **body})


def work(url: str, hook: Callable[[int, float], None], *, results: bool = False) -> None:
    """Run its worker."""
    broker, *_ = _app(url, hook, results=results)
    dramatiq.Worker(broker, worker_threads=16).start()
    threading.Event().wait()
