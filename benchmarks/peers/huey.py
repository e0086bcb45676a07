"""huey: RedisHuey with thread workers. It pops before it runs: the job of a dead worker is lost.

So a job runs at most once. It has no async jobs. Its fastest usual configuration for no-op jobs in one process: 8
threads. With 100 it is slower, and redis-py's pool has no more than 100 connections. Its polling is the default: a
blocking pop. Results are kept only for the workload that needs them, and announced on a list (`notify_result`): its
default, to poll, is slower. Its priorities are strict, and need another storage than the rest: PriorityRedisHuey.
"""

from collections.abc import Callable, Iterable
from typing import Any

from huey import PriorityRedisHuey, RedisHuey  # type: ignore[import-not-found,unused-ignore]
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


def _app(url: str, hook: Callable[[int, float], None], *, results: bool = False, quiet: str = "") -> Any:
    kind = PriorityRedisHuey if quiet else RedisHuey
    app = kind("bench", url=url, results=results, **({"notify_result": True} if results else {}))

    def task(message: dict[str, object]) -> int:
        item = Task.model_validate(message)
        hook(item.i, item.ts)
        return item.i

    return app, app.task(name="task")(task)


async def open(url: str, *, results: bool = False, quiet: str = "") -> Any:  # noqa: A001
    """Connect. `quiet`: the last task of a bulk put has a higher priority than the others."""
    return _app(url, lambda i, ts: None, results=results, quiet=quiet)[1], bool(quiet)  # noqa: ARG005


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one task, with a client that blocks."""
    c[0]({"i": i, "ts": ts, **body})


async def submit(c: Any, i: int, ts: float, body: dict[str, object]) -> object:
    """Put one task, and wait for its result, both in a thread."""
    return await in_thread(lambda: c[0]({"i": i, "ts": ts, **body})(blocking=True))


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put tasks one after the other: it has no bulk call."""
    task, is_quiet = c
    *flood, (i, ts, body) = messages
    for message in flood:
        await put(c, *message)
    task({"i": i, "ts": ts, **body}, **({"priority": 1} if is_quiet else {}))


def work(url: str, hook: Callable[[int, float], None], *, results: bool = False, quiet: str = "") -> None:
    """Run its worker."""
    app, _ = _app(url, hook, results=results, quiet=quiet)
    app.create_consumer(workers=8, periodic=False).run()
