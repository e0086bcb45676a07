"""bullmq, the Python package of its authors: jobs that are removed when they are done, 100 at once.

Its fastest usual configuration for no-op async jobs; the many jobs of a benchmark would stay in Redis otherwise. Of its
priorities the smallest number goes first, behind jobs that have none.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from bullmq import Queue, Worker  # type: ignore[import-not-found,unused-ignore]
from pydantic import BaseModel

_LOW, _HIGH = 10, 1


class Task(BaseModel):
    """The message, the same for every contestant."""

    i: int
    ts: float
    user: str
    value: float
    tags: list[str]
    note: str


def _options(priority: int = 0) -> dict[str, Any]:
    return {"removeOnComplete": True, **({"priority": priority} if priority else {})}


async def open(url: str, *, quiet: str = "") -> Any:  # noqa: A001
    """Connect. `quiet`: the last job of a bulk put has a higher priority than the others."""
    return Queue("bench", {"connection": url}), bool(quiet)


async def put(c: Any, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one job."""
    await c[0].add("task", {"i": i, "ts": ts, **body}, _options())


async def put_many(c: Any, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Put jobs, 500 in a pipeline."""
    jobs = [{"name": "task", "data": {"i": i, "ts": ts, **body}, "opts": _options()} for i, ts, body in messages]
    if c[1]:
        for job in jobs:
            job["opts"] = _options(_LOW)
        jobs[-1]["opts"] = _options(_HIGH)
    for first in range(0, len(jobs), 500):
        await c[0].addBulk(jobs[first : first + 500])


def work(url: str, hook: Callable[[int, float], None]) -> None:
    """Run its worker."""

    async def process(job: Any, _token: str) -> None:
        item = Task.model_validate(job.data)
        hook(item.i, item.ts)

    async def run() -> None:
        worker = Worker("bench", process, {"connection": url, "concurrency": 100})
        await asyncio.Event().wait()
        await worker.close()

    asyncio.run(run())
